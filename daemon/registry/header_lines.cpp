#include "daemon/registry/header_lines.h"

#include <algorithm>

#include "daemon/registry/ascii.h"

namespace pullama::registry {

std::vector<std::string> header_lines(const HttpRequest& request) {
  const auto is_control = [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; };
  std::vector<std::string> lines;
  for (const auto& header : request.headers) {
    auto line = header.name + (header.value.empty() ? ";" : ": " + header.value);
    if (std::any_of(line.begin(), line.end(), is_control)) return {};
    lines.push_back(std::move(line));
  }
  for (const char* name : {"Accept", "Content-Type", "Expect"}) {
    const bool given = std::any_of(request.headers.begin(), request.headers.end(),
                                   [name](const Header& header) { return equals_ignoring_case(header.name, name); });
    if (!given) lines.push_back(std::string(name) + ":");
  }
  return lines;
}

}  // namespace pullama::registry
