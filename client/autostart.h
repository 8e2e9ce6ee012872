#pragma once
// Starts a daemon where none answers: `pullamad --on-demand`, found beside this program, then on PATH; session leader
// of its own, with none of our descriptors, its words in $XDG_STATE_HOME/pullama/pullamad.log.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace pullama::client {

struct DaemonCommand {
  std::vector<std::string> arguments;  // after the program's name
  // $OLLAMA_MODELS for the daemon, which starts in another folder; empty: as it is.
  std::string models_dir;
};

class StartedDaemon {
 public:
  static Result<StartedDaemon> start(const DaemonCommand& command);

  // Whether it has ended already; then its last words, if it said any.
  bool has_ended();
  std::string last_words() const;
  const std::string& log_path() const { return log_path_; }

 private:
  StartedDaemon(int pid, std::string log_path, long long log_begin)
      : pid_(pid), log_path_(std::move(log_path)), log_begin_(log_begin) {}
  int pid_;
  std::string log_path_;
  long long log_begin_;
};

// A pause that a signal may cut short.
void pause_briefly(int milliseconds, int wake_fd);

}  // namespace pullama::client
