#pragma once
// What the uploads of one push share.

#include <atomic>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/engine/push.h"
#include "daemon/registry/registry.h"
#include "daemon/registry/upload.h"

namespace pullama::engine {

struct UploadContext {
  EngineContext& engine;
  StoreContext& store;
  registry::Registry& registry;
  registry::Uploads& uploads;
  const PushRequest& request;
  RateLimit& job_rate_limit;
  std::uint64_t job = 0;
  ProgressSink& sink;
  std::atomic<std::uint64_t>& retries;
  // Comes a moment after the push's own stop: a request that is nearly through may end, because some registries
  // (distribution 2.x) lose a session whose last answer did not arrive.
  std::stop_token late_stop;
  // The registry has shown that it redirects parts: other blobs begin with parts of the right size.
  std::atomic<bool>& redirects_parts;
  // Repositories of the same registry that may have the blob, the likeliest first.
  std::function<std::vector<std::string>(const Digest&)> mount_sources;
};

}  // namespace pullama::engine
