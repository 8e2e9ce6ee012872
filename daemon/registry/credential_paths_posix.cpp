#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "daemon/registry/credentials.h"

namespace pullama::registry {

CredentialPaths default_credential_paths() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  CredentialPaths paths;
  std::string home = variable("HOME");
  std::vector<char> buffer(16ULL * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    paths.user = found->pw_name;
    if (home.empty()) home = found->pw_dir;
  }
  if (paths.user.empty()) paths.user = "uid " + std::to_string(::geteuid());
  paths.key_file = home + "/.ollama/id_ed25519";
  const auto docker = variable("DOCKER_CONFIG");
  paths.docker_config = (docker.empty() ? home + "/.docker" : docker) + "/config.json";
  return paths;
}

}  // namespace pullama::registry
