#pragma once
// JSON objects for output, built a member at a time in order, for programs that print JSON without parsing any.

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace pullama::proto {

// The text in quotes, escaped; what is not UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

class JsonObject {
 public:
  JsonObject& add(std::string_view name, std::string_view value) { return add_json(name, json_string(value)); }
  JsonObject& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  JsonObject& add(std::string_view name, const std::string& value) { return add(name, std::string_view(value)); }
  JsonObject& add(std::string_view name, bool value) { return add_json(name, value ? "true" : "false"); }
  JsonObject& add(std::string_view name, std::integral auto value) { return add_json(name, std::to_string(value)); }
  JsonObject& add(std::string_view name, double value);  // null where it is no number
  JsonObject& add_null(std::string_view name) { return add_json(name, "null"); }
  // `json` is JSON text, as JsonObject::str() and write() make it.
  JsonObject& add_json(std::string_view name, std::string_view json);

  // On one line, without its end.
  std::string str() const& { return text_ + "}"; }
  std::string str() && {
    text_ += '}';
    return std::move(text_);
  }

 private:
  std::string text_ = "{";
};

}  // namespace pullama::proto
