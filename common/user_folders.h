#pragma once
// Where a user's own files lie, by the XDG base directory specification: the variable where it holds an absolute path,
// else below the home folder.

#include <string>

namespace pullama {

// "" where neither is known. `variable` and `home` are values; an empty one is not set.
std::string user_folder(const std::string& variable, const std::string& home, const std::string& below_home);

// Of this process: $XDG_STATE_HOME/pullama/pullamad.log, what a daemon says that a client started; "" as above.
std::string daemon_log_path();

}  // namespace pullama
