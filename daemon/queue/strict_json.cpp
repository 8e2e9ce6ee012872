#include "daemon/queue/strict_json.h"

#include <fmt/core.h>

#include "common/json_text.h"

namespace pullama::queue {
namespace {

constexpr int kMaxDepth = 16;

// Of a text that may be no JSON at all; too high is no harm. A callback of the parser would know better and costs more
// than the parsing.
bool nested_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '}' || c == ']') --depth;
    if ((c == '{' || c == '[') && ++depth > kMaxDepth) return true;
  }
  return false;
}

}  // namespace

// The parser itself does not recurse, writing a value does: depth is limited here.
Result<json> parse_object(std::string_view text) {
  if (nested_too_deep(text)) return corrupt("it is nested too deep");
  json value = json::parse(text, nullptr, false);
  if (holds_nul(text) || value.is_discarded()) return corrupt("it is no JSON");
  if (!value.is_object()) return corrupt("it is no JSON object");
  return value;
}

const json* member(const json& object, const char* name) {
  const auto it = object.find(name);
  return it == object.end() ? nullptr : &*it;
}

Result<std::string> text_of(const json& object, const char* name, std::size_t max_bytes) {
  const json* value = member(object, name);
  if (value == nullptr || !value->is_string()) return corrupt(fmt::format("\"{}\" is missing or no string", name));
  auto text = value->get<std::string>();
  if (text.size() > max_bytes) return corrupt(fmt::format("\"{}\" is too long", name));
  return text;
}

Result<std::uint64_t> number_of(const json& object, const char* name, std::uint64_t max,
                                std::optional<std::uint64_t> otherwise) {
  const json* value = member(object, name);
  if (value == nullptr && otherwise) return *otherwise;
  if (value == nullptr || !value->is_number_unsigned()) {
    return corrupt(fmt::format("\"{}\" is missing or no whole number", name));
  }
  const auto number = value->get<std::uint64_t>();
  if (number > max) return corrupt(fmt::format("\"{}\" is too large", name));
  return number;
}

std::string compact(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace pullama::queue
