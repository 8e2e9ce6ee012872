#pragma once
// The daemon's command line. Pure: what its words mean together with variables and files is config.h's affair.

#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "daemon/config.h"

namespace pullama {

struct Options {
  bool on_demand = false;
  std::vector<Setting> settings;  // flags of config_keys()
};

// Not to run at all: --help and --version (0) or a wrong word (1).
struct EarlyExit {
  int code = 0;
  std::string text;
};

// The value of a variable, nullopt where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

// `arguments` without the program's name.
tl::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments);

// "pullamad: <what> (pullamad --help shows the right form)", one printable line.
std::string wrong_words(const std::string& what);

// What --help shows, 80 columns wide.
std::string daemon_help();

}  // namespace pullama
