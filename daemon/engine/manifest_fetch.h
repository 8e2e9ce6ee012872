#pragma once
// The manifest of a pull, with the retry rules around it. Permanent faults (not found, denied, too new) end at once.

#include <atomic>
#include <stop_token>

#include "daemon/engine/progress.h"
#include "daemon/io/clock.h"
#include "daemon/manifest/manifest.h"
#include "daemon/registry/registry.h"

namespace pullama::engine {

// kCancelled on stop; kNetwork when out of retries.
Result<manifest::Manifest> fetch_manifest(registry::Registry& registry, const ModelName& name, const io::Clock& clock,
                                          std::optional<unsigned> max_retries, ProgressSink& sink,
                                          std::atomic<std::uint64_t>& retries, std::stop_token stop);

}  // namespace pullama::engine
