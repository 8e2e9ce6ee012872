#include <sys/utsname.h>

#include "common/version.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/requester.h"

namespace pullama::registry {
namespace {

// The Ollama whose store this project follows.
constexpr std::string_view kOllamaVersion = "0.32.0";

// As Go names them.
std::string architecture(std::string_view machine) {
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return std::string(machine);
}

}  // namespace

std::string default_user_agent() { return std::string("pullama/") + kVersion; }

std::string user_agent_with_ollama() {
  utsname system{};
  const bool known = ::uname(&system) == 0;
  const auto machine = architecture(known ? system.machine : "unknown");
  const auto name = lower(std::string_view(known ? system.sysname : "unknown"));
  return "ollama/" + std::string(kOllamaVersion) + " (" + machine + " " + name + ") " + default_user_agent();
}

}  // namespace pullama::registry
