#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "common/endpoint.h"

namespace pullama {

EndpointEnvironment process_endpoint_environment(std::string socket_option) {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  EndpointEnvironment environment;
  environment.socket_option = std::move(socket_option);
  environment.socket_variable = variable("PULLAMA_SOCKET");
  environment.runtime_dir = variable("XDG_RUNTIME_DIR");
  environment.uid = static_cast<std::uint32_t>(::geteuid());
  struct stat info {};
  const std::string folder = "/run/user/" + std::to_string(environment.uid);
  environment.run_user_exists = ::stat(folder.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  return environment;
}

}  // namespace pullama
