#pragma once
// The daemon as a whole: builds every concrete class, starts and stops them in order. The only place that knows all of
// them.

#include <functional>

#include "daemon/config.h"
#include "daemon/options.h"

namespace pullama {

// Runs until a signal, daemon.shutdown or, on demand, idleness ends it. Returns the exit code; what kept it from
// starting is one line on stderr and 1. SIGHUP takes what `reload` then says, which is called on another thread.
int run_daemon(const Options& options, const Configured& configured, std::function<Result<Configured>()> reload);

}  // namespace pullama
