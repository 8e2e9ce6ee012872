#pragma once
// Runs another program to its end: with a limit, with none of our descriptors, and reaped whatever happens.

#include <chrono>
#include <stop_token>
#include <string>
#include <vector>

#include "common/result.h"

namespace pullama {

struct ChildEnd {
  int exit_code = 0;
  int signal = 0;  // that ended it; 0: it exited
  bool timed_out = false;
  std::string output;  // the first 4 KiB of what it said on either stream
};

// `words[0]` is a path, or a name that is looked for on PATH. `environment` is all of the child's. Blocks until it has
// ended; from `limit` on, or after a stop, its session is told to end (SIGTERM) and 500 ms later made to (SIGKILL).
// kNotFound or kPermission where it cannot be started, kCancelled after a stop.
Result<ChildEnd> run_child(const std::vector<std::string>& words, const std::vector<std::string>& environment,
                           std::chrono::milliseconds limit, const std::stop_token& stop);

// Our own environment, as "NAME=value".
std::vector<std::string> process_variables();

}  // namespace pullama
