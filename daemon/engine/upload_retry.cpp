#include "daemon/engine/upload_retry.h"

#include <fmt/format.h>

namespace pullama::engine {

using registry::Fault;

std::optional<Fault> UploadRetry::after(const Fault& fault, std::stop_token stop) {
  Fault end = fault;
  const auto stopped = [&] {
    end.kind = Fault::Kind::kStopped;
    end.error = Error{ErrorCode::kCancelled, "stopped while pushing " + context_.request.model.display(), {}, 0};
    return end;
  };
  if (stop.stop_requested()) return stopped();
  if (fault.kind == Fault::Kind::kSessionLost || fault.kind == Fault::Kind::kPermanent ||
      fault.kind == Fault::Kind::kSink || fault.kind == Fault::Kind::kStopped) {
    return end;
  }
  const auto decision =
      policy_.on_fault(fault, gained_bytes_, gained_bytes_, std::uniform_real_distribution<>(0, 1)(random_));
  if (decision.give_up) {
    const auto what = blob_ ? "blob " + blob_->digest.str() : "manifest of " + context_.request.model.display();
    end.kind = Fault::Kind::kPermanent;
    const bool is_named = fault.error.message.find(what) != std::string::npos;
    end.error.message = fmt::format("{}{} (given up after {} tries)",
                                    is_named ? std::string() : fmt::format("{} to {}: ", what, context_.uploads.host()),
                                    fault.error.message, decision.attempt + 1);
    return end;
  }
  context_.retries.fetch_add(1);
  if (fault.kind == Fault::Kind::kUrlRefused || fault.kind == Fault::Kind::kTokenRefused) {
    context_.sink.report(
        Refresh{blob_, fault.kind == Fault::Kind::kUrlRefused, decision.attempt, decision.max.value_or(0)});
  } else {
    context_.sink.report(
        Retry{blob_, fault.error.message, decision.attempt, decision.max, decision.wait, fault.http_status});
  }
  if (decision.wait.count() > 0 && !context_.engine.clock.sleep_for(decision.wait, stop)) return stopped();
  return std::nullopt;
}

}  // namespace pullama::engine
