#include "common/user_folders.h"

#include <cstdlib>

namespace pullama {

std::string user_folder(const std::string& variable, const std::string& home, const std::string& below_home) {
  if (variable.starts_with('/')) return variable;
  return home.starts_with('/') ? home + "/" + below_home : std::string();
}

std::string daemon_log_path() {
  const auto value = [](const char* name) {
    const char* text = std::getenv(name);
    return std::string(text == nullptr ? "" : text);
  };
  const std::string state = user_folder(value("XDG_STATE_HOME"), value("HOME"), ".local/state");
  return state.empty() ? state : state + "/pullama/pullamad.log";
}

}  // namespace pullama
