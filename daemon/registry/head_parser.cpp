#include "daemon/registry/head_parser.h"

#include <algorithm>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

bool is_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

}  // namespace

HeadParser::Event HeadParser::refuse(std::string why) {
  problem_ = std::move(why);
  return Event::kRefused;
}

HeadParser::Event HeadParser::feed(std::string_view line) {
  bytes_ += line.size();
  if (bytes_ > kMaxHeadBytes) return refuse("its headers are longer than 64 KiB");
  if (complete_) return Event::kMore;  // trailers say nothing that anybody asks for
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (!in_block_) return begin(line);
  if (!line.empty()) return add(line);
  in_block_ = false;
  if (head_.status < 200) return Event::kMore;
  complete_ = true;
  return Event::kHead;
}

HeadParser::Event HeadParser::begin(std::string_view line) {
  // "HTTP/1.1 200 OK"
  const auto space = line.find(' ');
  const auto status = space == std::string_view::npos ? std::nullopt : parse_digits<int>(line.substr(space + 1, 3));
  const auto after =
      space == std::string_view::npos ? std::string_view{} : line.substr(std::min(space + 4, line.size()));
  if (!line.starts_with("HTTP/") || !status || *status < 100 || *status > 599 ||
      !(after.empty() || after.front() == ' ') || std::any_of(line.begin(), line.end(), is_control)) {
    return refuse("its status line is not HTTP's");
  }
  if (*status == 101) return refuse("it wants to change the protocol");
  head_ = {};
  head_.status = *status;
  in_block_ = true;
  return Event::kMore;
}

HeadParser::Event HeadParser::add(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return refuse("a header goes on on a second line");
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || !is_name(line.substr(0, colon))) return refuse("a header has no proper name");
  const auto name = line.substr(0, colon);
  const auto value = trim(line.substr(colon + 1));
  if (std::any_of(value.begin(), value.end(), is_control)) {
    return refuse("the header '" + std::string(name.substr(0, 64)) + "' has control characters in it");
  }
  if (equals_ignoring_case(name, "Content-Length")) {
    const auto* other = head_.find(name);
    if (other != nullptr && *other != value) return refuse("it states two lengths");
  }
  if (equals_ignoring_case(name, "Transfer-Encoding") && !equals_ignoring_case(value, "chunked") &&
      !equals_ignoring_case(value, "identity")) {
    return refuse("it uses a transfer coding that was not asked for");
  }
  head_.headers.push_back({std::string(name), std::string(value)});
  return Event::kMore;
}

}  // namespace pullama::registry
