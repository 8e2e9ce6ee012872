#include "daemon/engine/manifest_fetch.h"

#include <fmt/format.h>

#include <random>

#include "daemon/engine/retry.h"

namespace pullama::engine {

Result<manifest::Manifest> fetch_manifest(registry::Registry& registry, const ModelName& name, const io::Clock& clock,
                                          std::optional<unsigned> max_retries, ProgressSink& sink,
                                          std::atomic<std::uint64_t>& retries, std::stop_token stop) {
  const auto connection = registry.connect();
  RetryPolicy retry(max_retries);
  std::minstd_rand random{std::random_device{}()};
  while (true) {
    auto manifest = registry.fetch_manifest(*connection, name, stop);
    if (manifest) return std::move(*manifest);
    const registry::Fault& fault = manifest.error();
    if (fault.kind == registry::Fault::Kind::kStopped || stop.stop_requested()) {
      return fail(ErrorCode::kCancelled, "stopped while fetching the manifest of " + name.display());
    }
    const auto decision = retry.on_fault(fault, 0, 0, std::uniform_real_distribution<>(0, 1)(random));
    if (decision.give_up) {
      Error error = fault.error;
      if (fault.kind != registry::Fault::Kind::kPermanent) {
        const bool is_named = error.message.find(name.display()) != std::string::npos;
        error.message = fmt::format("{}{} (given up after {} tries)",
                                    is_named ? std::string() : fmt::format("manifest of {}: ", name.display()),
                                    error.message, decision.attempt + 1);
      }
      return fail(std::move(error));
    }
    retries.fetch_add(1);
    sink.report(
        Retry{std::nullopt, fault.error.message, decision.attempt, decision.max, decision.wait, fault.http_status});
    if (!clock.sleep_for(decision.wait, stop)) {
      return fail(ErrorCode::kCancelled, "stopped while fetching the manifest of " + name.display());
    }
  }
}

}  // namespace pullama::engine
