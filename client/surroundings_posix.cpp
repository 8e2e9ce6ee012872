#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "client/options.h"

namespace pullama::client {

Surroundings process_surroundings() {
  Surroundings surroundings;
  std::error_code fault;
  surroundings.working_dir = std::filesystem::current_path(fault).string();
  if (surroundings.working_dir.empty()) surroundings.working_dir = "/";
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  surroundings.home = variable("HOME");
  if (surroundings.home.empty()) {
    if (const passwd* entry = getpwuid(geteuid()); entry != nullptr && entry->pw_dir != nullptr) {
      surroundings.home = entry->pw_dir;
    }
  }
  surroundings.ollama_models = variable("OLLAMA_MODELS");
  return surroundings;
}

}  // namespace pullama::client
