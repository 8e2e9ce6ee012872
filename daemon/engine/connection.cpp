#include "daemon/engine/connection.h"

#include <fmt/format.h>

#include <random>

#include "daemon/engine/range_sink.h"
#include "daemon/engine/retry.h"

namespace pullama::engine {
namespace {

using registry::Fault;

Fault local_fault(std::string message) {
  Fault fault;
  fault.kind = Fault::Kind::kTransient;
  fault.stage = registry::Stage::kBody;
  fault.error = Error{ErrorCode::kNetwork, std::move(message), "pull again to go on where it stopped", 0};
  return fault;
}

class Fetcher {
 public:
  Fetcher(ConnectionContext& context, unsigned id, std::stop_token stop)
      : context_(context),
        id_(id),
        stop_(std::move(stop)),
        sink_(context, id, stop_),
        retry_(context.max_retries, &context.refusals) {}

  void run() {
    auto connection = context_.registry.connect();
    while (auto claim = context_.state.claim(id_, stop_)) {
      context_.sink.report(ChunkStarted{context_.blob, claim->begin, claim->end - 1});
      sink_.begin(*claim);
      const auto outcome = context_.source.fetch(*connection, {claim->begin, claim->end - 1}, sink_, stop_);
      sink_.flush();
      const std::uint64_t at = sink_.position();
      context_.state.release(id_, at, sink_.take_state());
      if (outcome) continue;
      if (!go_on_after(outcome.error(), *connection)) return;
    }
  }

 private:
  bool go_on_after(const Fault& fault, registry::HttpConnection& connection) {
    if (fault.kind == Fault::Kind::kStopped) return false;
    if (fault.kind == Fault::Kind::kNoRanges) return true;
    if (fault.kind == Fault::Kind::kSink) {
      const std::string host = context_.source.host();
      switch (sink_.ended()) {
        case RangeSink::Ended::kStalled:
          connection.close_idle();
          return decide(local_fault(fmt::format("{} sent no byte for 30 s", host)));
        case RangeSink::Ended::kSlow:
          connection.close_idle();
          return decide(local_fault(fmt::format("{} is far slower on this connection than on the others", host)));
        case RangeSink::Ended::kSuspended:
          connection.close_idle();
          return true;
        case RangeSink::Ended::kRangeGone:
        case RangeSink::Ended::kNo:
          return true;
        case RangeSink::Ended::kFailed:
        case RangeSink::Ended::kStopped:
          return false;
      }
    }
    if (fault.kind == Fault::Kind::kThrottled) context_.state.on_throttled();
    return decide(fault);
  }

  bool decide(const Fault& fault) {
    const auto decision = retry_.on_fault(fault, context_.state.travelled_bytes(), context_.state.connection_bytes(id_),
                                          std::uniform_real_distribution<>(0, 1)(random_));
    if (decision.give_up) {
      context_.state.fail_with(final_error(fault, decision));
      return false;
    }
    context_.on_retry();
    if (fault.kind == Fault::Kind::kUrlRefused || fault.kind == Fault::Kind::kTokenRefused) {
      context_.sink.report(
          Refresh{context_.blob, fault.kind == Fault::Kind::kUrlRefused, decision.attempt, decision.max.value_or(0)});
    } else {
      context_.sink.report(
          Retry{context_.blob, fault.error.message, decision.attempt, decision.max, decision.wait, fault.http_status});
    }
    return decision.wait.count() == 0 || context_.clock.sleep_for(decision.wait, stop_);
  }

  Error final_error(const Fault& fault, const RetryPolicy::Decision& decision) const {
    Error error = fault.error;
    if (fault.kind == Fault::Kind::kPermanent) return error;
    std::string tried = fmt::format("{} tries", decision.attempt + 1);
    if (fault.kind == Fault::Kind::kUrlRefused) tried = fmt::format("{} new URLs", decision.attempt);
    if (fault.kind == Fault::Kind::kTokenRefused) tried = fmt::format("{} new tokens", decision.attempt);
    const std::string what = "blob " + context_.blob.digest.str();
    const bool is_named = error.message.find(what) != std::string::npos;
    error.message = fmt::format("{}{} (given up after {})",
                                is_named ? std::string() : fmt::format("{} from {}: ", what, context_.source.host()),
                                error.message, tried);
    return error;
  }

  ConnectionContext& context_;
  const unsigned id_;
  const std::stop_token stop_;
  RangeSink sink_;
  RetryPolicy retry_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

void run_connection(ConnectionContext& context, unsigned id, std::stop_token stop) {
  Fetcher(context, id, std::move(stop)).run();
  context.state.leave(id);
}

}  // namespace pullama::engine
