#include "client/version_words.h"

#include <fmt/format.h>

#include <charconv>

#include "common/printable.h"

namespace pullama::client {
namespace {

// The next number, and the dot after it; 0 where there is none.
std::uint64_t take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc()) {
    text = {};
    return 0;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (text.starts_with('.')) {
    text.remove_prefix(1);
  } else {
    text = {};
  }
  return number;
}

}  // namespace

int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const std::uint64_t left = take_number(a), right = take_number(b);
    if (left != right) return left < right ? -1 : 1;
  }
  return 0;
}

std::string restart_words(bool is_system) {
  return is_system ? "restart the daemon: sudo systemctl restart pullamad"
                   : "restart the daemon: pullama daemon stop, then pullama daemon start";
}

SilentWords silent_words(int pid, std::string_view program, bool is_system) {
  const bool is_known = pid > 0 && program == "pullamad";
  const std::string who = is_known ? fmt::format(" (pid {})", pid) : std::string();
  if (is_system) return {who, "restart it: sudo systemctl restart pullamad"};
  if (is_known) return {who, fmt::format("end it with: kill -KILL {}; what is verified stays", pid)};
  return {who, "restart it: systemctl --user restart pullamad.service"};
}

std::string version_notice(std::string_view daemon, std::uint64_t pid, std::string_view client, bool is_system) {
  if (daemon == client) return {};
  const std::string both =
      fmt::format("the daemon (pid {}) is version {}, this client is {}", pid, printable(daemon, 64), client);
  if (compare_versions(daemon, client) > 0) return both + ", the older one: use the pullama of the daemon's version";
  return both + "; " + restart_words(is_system);
}

}  // namespace pullama::client
