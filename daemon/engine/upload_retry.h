#pragma once
// The retry rules (retry.h) around the requests of one worker of an upload: reports, waits, gives up. What cannot be
// mended by asking again (a lost session, a stop, a permanent fault) comes back as it is.

#include <optional>
#include <random>
#include <stop_token>

#include "daemon/engine/retry.h"
#include "daemon/engine/upload_context.h"

namespace pullama::engine {

class UploadRetry {
 public:
  // Without a blob: the manifest.
  UploadRetry(UploadContext& context, std::optional<BlobRef> blob)
      : context_(context), blob_(blob), policy_(context.request.max_retries) {}

  // nullopt: waited, try again. Else what ends it: kPermanent (also when out of retries), kStopped, kSessionLost, or
  // kSink, of which the body knows more.
  std::optional<registry::Fault> after(const registry::Fault& fault, std::stop_token stop);
  // Bytes that the registry has confirmed since: standing still counts, moving does not.
  void gained(std::uint64_t bytes) { gained_bytes_ += bytes; }

  // Calls `request`, which returns an Outcome, until it succeeds or after() says that it is over.
  template <class Request>
  auto run(Request request, const std::stop_token& stop) -> decltype(request()) {
    while (true) {
      auto outcome = request();
      if (outcome) return outcome;
      if (auto over = after(outcome.error(), stop)) return tl::unexpected(std::move(*over));
    }
  }

 private:
  UploadContext& context_;
  const std::optional<BlobRef> blob_;
  RetryPolicy policy_;
  std::uint64_t gained_bytes_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace pullama::engine
