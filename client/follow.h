#pragma once
// Shows one job to its end: asks for it, subscribes, renders, and goes on through a daemon that dies and is started
// again. Returns when the job ended, when the user let go of it, or when there is no daemon to be had.

#include <functional>
#include <string>

#include "client/context.h"

namespace pullama::client {

struct Pursuit {
  Subject subject;
  // Starts the job or joins it; called again after the daemon was started anew. Empty: `job` is only watched.
  std::function<Result<proto::StartResult>()> start;
  std::string job;
  // The first Ctrl-C asks the daemon to stop the job, else it only ends the watching.
  bool cancels = false;
  std::string resume_command;  // "pullama llama3.2:latest"
};

enum class End { kCompleted, kFailed, kInterrupted, kDetached };

struct Outcome {
  End end = End::kFailed;
  int exit_code = 1;
  Error error;  // of kFailed
};

Outcome follow(Context& context, Signals& signals, Renderer& renderer, const Pursuit& pursuit);

// What is said where the daemon died under `command` and must not be started again.
Error gone(const Context& context, Error why, const std::string& command);

// Both outputs take the terminal's size as it is now.
void follow_resize(Streams& streams);

}  // namespace pullama::client
