#pragma once
// How a job talks to its registry, from what was asked for.

#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/registry/registry.h"

namespace pullama::engine {

// Requests and token refreshes are reported to `sink`, which must outlive the registry.
registry::RegistryOptions registry_options(const PullRequest& request, ProgressSink& sink);

}  // namespace pullama::engine
