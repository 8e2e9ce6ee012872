#include "daemon/engine/rate_limit.h"

#include <algorithm>

namespace pullama::engine {
namespace {

// What may pass at once after a pause: a tenth of a second's worth, so that the average over any second stays close.
double burst_bytes(std::uint64_t rate) {
  return std::max(static_cast<double>(RateLimit::kMaxTakeBytes), static_cast<double>(rate) / 10);
}

}  // namespace

RateLimit::RateLimit(const io::Clock& clock, std::uint64_t bytes_per_second)
    : clock_(clock), rate_(bytes_per_second), refilled_(clock.now()) {}

void RateLimit::set_rate(std::uint64_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  refill_locked();
  rate_ = bytes_per_second;
  tokens_ = std::min(tokens_, burst_bytes(rate_));
  grant_locked();
  changed_.notify_all();
}

std::uint64_t RateLimit::rate() const {
  const std::lock_guard lock(mutex_);
  return rate_;
}

void RateLimit::refill_locked() {
  const auto now = clock_.now();
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  tokens_ = std::min(burst_bytes(rate_), tokens_ + seconds * static_cast<double>(rate_));
}

io::Clock::Duration RateLimit::grant_locked() {
  using std::chrono::milliseconds;
  while (!waiting_.empty()) {
    auto job = waiting_.upper_bound(last_job_);
    if (job == waiting_.end()) job = waiting_.begin();
    Waiter& next = *job->second.front();
    const auto wanted = static_cast<double>(next.bytes);
    if (rate_ != 0 && tokens_ < wanted) {
      const auto wait = std::chrono::duration<double>((wanted - tokens_) / static_cast<double>(rate_));
      return std::clamp(std::chrono::duration_cast<io::Clock::Duration>(wait), io::Clock::Duration(milliseconds(1)),
                        io::Clock::Duration(milliseconds(100)));
    }
    if (rate_ != 0) tokens_ -= wanted;
    next.granted = true;
    last_job_ = job->first;
    job->second.pop_front();
    if (job->second.empty()) waiting_.erase(job);
  }
  return milliseconds(100);
}

bool RateLimit::take(std::uint64_t job, std::uint64_t bytes, std::stop_token stop) {
  while (bytes > 0) {
    const std::uint64_t turn = std::min(bytes, kMaxTakeBytes);
    if (!take_turn(job, turn, stop)) return false;
    bytes -= turn;
  }
  return true;
}

bool RateLimit::take_turn(std::uint64_t job, std::uint64_t bytes, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (rate_ == 0) return true;
  Waiter self{bytes};
  waiting_[job].push_back(&self);
  while (true) {
    refill_locked();
    const auto wait = grant_locked();
    if (self.granted) {
      changed_.notify_all();
      return true;
    }
    if (stop.stop_requested()) {
      auto queue = waiting_.find(job);
      queue->second.remove(&self);
      if (queue->second.empty()) waiting_.erase(queue);
      changed_.notify_all();
      return false;
    }
    changed_.wait_for(lock, stop, wait, [&] { return self.granted; });
  }
}

}  // namespace pullama::engine
