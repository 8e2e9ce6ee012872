#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "daemon/config_keys.h"
#include "daemon/options.h"

namespace pullama {
namespace {

constexpr std::size_t kWidth = 80;
constexpr std::size_t kColumn = 32;

// `right` in lines that fit beside `left`, broken at blanks. ASCII only.
void row(std::string& out, const std::string& left, std::string_view right) {
  std::string line = "  " + left;
  if (line.size() + 2 > kColumn) {
    out += line + "\n";
    line.clear();
  }
  while (!right.empty()) {
    line.resize(kColumn, ' ');
    const std::size_t room = kWidth - kColumn;
    std::size_t length = right.size();
    if (length > room) {
      length = right.rfind(' ', room);
      if (length == std::string_view::npos || length == 0) length = room;
    }
    out += fmt::format("{}{}\n", line, right.substr(0, length));
    right.remove_prefix(length);
    right.remove_prefix(std::min(right.find_first_not_of(' '), right.size()));
    line.clear();
  }
}

}  // namespace

std::string daemon_help() {
  std::string out =
      "The pullama daemon: transfers models and answers on a local socket.\nStays in the foreground.\n\n"
      "  pullamad [flags]\n\nFlags:\n";
  row(out, "-h, --help", "Show this and leave");
  row(out, "--version", "Show the version and leave");
  row(out, "--on-demand", "Leave after some idle time");
  out += "\nSettings:\n";
  for (const ConfigKey& key : config_keys()) {
    std::string variables;
    for (const std::string& name : variables_of(key)) variables += (variables.empty() ? "$" : ", $") + name;
    row(out, fmt::format("{} {}", flag_of(key), key.form), fmt::format("{} [{}]", key.about, variables));
  }
  return out +
         "\nThe same in files, `key = value` a line, the key with _ instead of -.\n"
         "A flag goes before a variable, that before the user's file, that before the\nmachine's:\n"
         "  $XDG_CONFIG_HOME/pullama/pullamad.conf (~/.config/pullama/pullamad.conf)\n"
         "  /etc/pullama/pullamad.conf\nSIGHUP reads the files again.\n";
}

}  // namespace pullama
