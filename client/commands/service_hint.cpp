// Said once in a user's life with us: without the service a reboot leaves the queue waiting for the next command.

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "client/commands/commands.h"
#include "common/user_folders.h"

namespace pullama::client {
namespace {

namespace fs = std::filesystem;

fs::path folder(const char* variable, const char* below_home) {
  const char* value = std::getenv(variable);
  const char* home = std::getenv("HOME");
  return user_folder(value == nullptr ? "" : value, home == nullptr ? "" : home, below_home);
}

bool is_there(const fs::path& path) {
  std::error_code fault;
  return fs::exists(fs::symlink_status(path, fault));
}

bool is_service_enabled() {
  for (const fs::path& root : {folder("XDG_CONFIG_HOME", ".config") / "systemd/user", fs::path("/etc/systemd/user")}) {
    if (is_there(root / "default.target.wants/pullamad.service")) return true;
  }
  return false;
}

}  // namespace

void tell_of_service(Context& context) {
  if (context.options.is_json() || context.options.has(Flag::kQuiet)) return;
  if (context.link.is_system() || is_service_enabled()) return;
  const fs::path state = folder("XDG_STATE_HOME", ".local/state");
  std::error_code fault;
  if (state.empty() || (fs::create_directories(state / "pullama", fault), fault)) return;
  if (!fs::create_directory(state / "pullama" / "told-of-service", fault) || fault) return;
  context.streams.err.print(
      {{"hint: the queue goes on by itself at login once the service is enabled: systemctl --user enable --now "
        "pullamad.socket pullamad.service (at boot: loginctl enable-linger)",
        Tone::kMuted}});
}

}  // namespace pullama::client
