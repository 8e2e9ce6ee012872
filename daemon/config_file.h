#pragma once
// Reads the configuration's files, before the daemon does anything else.

#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/options.h"

namespace pullama {

inline constexpr const char* kMachineConfig = "/etc/pullama/pullamad.conf";

struct ConfigFiles {
  std::vector<ConfigFile> files;  // the weightiest last; what is not there is left out
  std::vector<std::string> warnings;
};
// What others may write to would let them run commands as us: a file must be ours or root's, and not writable for
// everybody. One that cannot be used is as it was `before`, or left out where it was not there, with a warning.
ConfigFiles read_config_files(const std::vector<std::string>& paths, const std::vector<ConfigFile>& before = {});

// The machine's and the user's, in this order. `home` where there is no $HOME.
std::vector<std::string> config_paths(const Environment& environment, const std::string& home);

}  // namespace pullama
