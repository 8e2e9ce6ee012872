// Each said once in a user's life with us: that without the service a reboot leaves the queue waiting for the next
// command, and that a logout ends the service where the user does not linger.

#include <cstdlib>
#include <filesystem>
#include <string_view>
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

bool is_enabled(const char* link) {
  for (const fs::path& root : {folder("XDG_CONFIG_HOME", ".config") / "systemd/user", fs::path("/etc/systemd/user")}) {
    if (is_there(root / link)) return true;
  }
  return false;
}

bool is_service_enabled() { return is_enabled("default.target.wants/pullamad.service"); }

// As loginctl keeps it. Where the user is not known, nothing is claimed.
bool ends_at_logout() {
  const char* user = std::getenv("USER");
  if (user == nullptr || *user == '\0' || std::string_view(user).find('/') != std::string_view::npos) return false;
  return !is_there(fs::path("/var/lib/systemd/linger") / user);
}

void say_once(Context& context, const char* name, const char* hint) {
  const fs::path state = folder("XDG_STATE_HOME", ".local/state");
  std::error_code fault;
  if (state.empty() || (fs::create_directories(state / "pullama", fault), fault)) return;
  if (!fs::create_directory(state / "pullama" / name, fault) || fault) return;
  context.streams.err.print({{hint, Tone::kMuted}});
}

}  // namespace

void tell_of_service(Context& context) {
  if (context.options.is_json() || context.options.has(Flag::kQuiet)) return;
  if (context.link.is_system()) return;
  if (is_service_enabled()) return tell_of_logout(context);
  say_once(context, "told-of-service",
           "hint: the queue goes on by itself at login once the service is enabled: systemctl --user enable --now "
           "pullamad.socket pullamad.service (at boot: loginctl enable-linger)");
}

void tell_of_logout(Context& context) {
  if (context.options.is_json() || context.options.has(Flag::kQuiet) || context.link.is_system()) return;
  if (!is_service_enabled() && !is_enabled("sockets.target.wants/pullamad.socket")) return;
  if (!ends_at_logout()) return;
  say_once(context, "told-of-logout",
           "hint: your last logout ends your services, and what is under way waits for your next login; it goes on "
           "without you after: loginctl enable-linger");
}

}  // namespace pullama::client
