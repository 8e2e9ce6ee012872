#pragma once
// The daemon's command line and what its environment adds to it. Pure but for reading the given environment.

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "common/result.h"
#include "daemon/config.h"

namespace pullama {

struct Options {
  std::string socket;      // --socket; empty: not given
  std::string models_dir;  // absolute
  bool on_demand = false;
  std::string log_level = "info";
  std::chrono::milliseconds idle_limit{std::chrono::minutes(10)};  // of an on-demand daemon
  std::string user_agent;                                          // $PULLAMA_USER_AGENT; empty: our own
  std::vector<Setting> settings;                                   // flags of config_keys()
  bool prune = true;                                               // unless $OLLAMA_NOPRUNE
};

// Not to run at all: --help and --version (0) or a wrong word (1).
struct EarlyExit {
  int code = 0;
  std::string text;
};

// The value of a variable, nullopt where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// `arguments` without the program's name; `folder` is what a relative --models-dir is meant in; `home` where there is
// no $HOME.
tl::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments, const Environment& environment,
                                               const std::string& folder, const std::string& home);

// As Ollama reads its variables: spaces, then quotes are trimmed from both ends (registry-protocol.md 2.1).
std::string trimmed_variable(std::string value);

}  // namespace pullama
