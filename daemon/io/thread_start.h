#pragma once
// Threads on a machine that may have none left (a limit on processes, memory): std::jthread throws then, and where
// nobody catches it the daemon and all its transfers end. What several threads share goes on with fewer of them.

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "common/result.h"

namespace pullama::io {

// Runs `work`, with or without a std::stop_token, on a thread of its own. kInternal where the system refuses one;
// os_error is 0, as no file is to blame.
template <class Work>
Result<std::jthread> start_thread(Work work) {
  try {
    return std::jthread(std::move(work));
  } catch (const std::system_error& refused) {
    return fail(ErrorCode::kInternal, "the system gives this process no further thread: " + refused.code().message(),
                "see the limits of processes and memory of the daemon's user (ulimit -u)");
  }
}

}  // namespace pullama::io
