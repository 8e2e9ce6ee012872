#include "daemon/engine/retry.h"

#include <algorithm>

namespace pullama::engine {
namespace {

std::chrono::milliseconds backoff(unsigned step, double jitter) {
  auto wait = RetryPolicy::kFirstBackoff;
  for (unsigned i = 0; i < step && wait < RetryPolicy::kMaxBackoff; ++i) wait *= 2;
  wait = std::min(wait, RetryPolicy::kMaxBackoff);
  // ± a quarter, and never above the limit.
  const double factor = 0.75 + jitter * 0.5;
  return std::min(RetryPolicy::kMaxBackoff,
                  std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(wait.count()) * factor)));
}

}  // namespace

unsigned Refusals::count(registry::Fault::Kind kind, std::uint64_t refused, std::uint64_t blob_bytes) {
  const std::lock_guard lock(mutex_);
  Counter& counter = kind == registry::Fault::Kind::kUrlRefused ? urls_ : tokens_;
  if (refused != 0 && refused == counter.last) return counter.count;
  if (blob_bytes != counter.blob_bytes) counter.count = 0;
  counter.blob_bytes = blob_bytes;
  counter.last = refused;
  return ++counter.count;
}

RetryPolicy::Decision RetryPolicy::count_transient(const registry::Fault& fault, double jitter) {
  Decision decision;
  decision.max = max_;
  decision.give_up = max_ && transient_ >= *max_;
  if (!decision.give_up) ++transient_;
  decision.attempt = transient_;
  if (decision.give_up) return decision;
  decision.wait = backoff(backoff_step_++, jitter);
  if (fault.retry_after) decision.wait = std::max<std::chrono::milliseconds>(decision.wait, *fault.retry_after);
  return decision;
}

RetryPolicy::Decision RetryPolicy::count_refusal(unsigned max, const registry::Fault& fault, std::uint64_t blob_bytes,
                                                 double jitter) {
  const unsigned count = (shared_ != nullptr ? *shared_ : own_).count(fault.kind, fault.refused, blob_bytes);
  Decision decision;
  decision.max = max;
  decision.give_up = count > max;
  decision.attempt = std::min(count, max);
  if (decision.give_up) return decision;
  if (count > 1) decision.wait = backoff(count - 2, jitter);
  if (fault.retry_after) decision.wait = std::max<std::chrono::milliseconds>(decision.wait, *fault.retry_after);
  return decision;
}

RetryPolicy::Decision RetryPolicy::on_fault(const registry::Fault& fault, std::uint64_t blob_bytes,
                                            std::uint64_t own_bytes, double jitter) {
  using Kind = registry::Fault::Kind;
  const std::uint64_t own_gain = own_bytes - own_bytes_at_fault_;
  const bool blob_moved = blob_bytes != blob_bytes_at_fault_ || (!had_fault_ && own_gain > 0);
  had_fault_ = true;
  blob_bytes_at_fault_ = blob_bytes;
  own_bytes_at_fault_ = own_bytes;
  if (blob_moved) transient_ = 0;
  if (own_gain >= kGainBytes) backoff_step_ = 0;

  switch (fault.kind) {
    case Kind::kTokenRefused:
      return count_refusal(kMaxTokenRefreshes, fault, blob_bytes, jitter);
    case Kind::kUrlRefused:
      return count_refusal(kMaxUrlRefreshes, fault, blob_bytes, jitter);
    case Kind::kPermanent:
      return Decision{true, {}, 0, 0};
    case Kind::kTimeLimit:
    case Kind::kTransient:
    case Kind::kThrottled:
    case Kind::kProtocol:
      break;
    case Kind::kSessionLost:
    case Kind::kNoRanges:
    case Kind::kStopped:
    case Kind::kSink:
      return Decision{};
  }
  const bool free = own_gain >= kGainBytes || (fault.kind == Kind::kTimeLimit && own_gain > 0);
  if (free && !fault.retry_after) return Decision{false, {}, 0, max_};
  return count_transient(fault, jitter);
}

}  // namespace pullama::engine
