#include "daemon/registry/error_text.h"

#include <nlohmann/json.hpp>

#include "common/printable.h"
#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : std::string();
}

std::string from_json(const Json& body) {
  if (body.is_string()) return body.get<std::string>();
  if (!body.is_object()) return {};
  if (const auto errors = body.find("errors"); errors != body.end() && errors->is_array() && !errors->empty()) {
    const auto& first = errors->front();
    if (first.is_string()) return first.get<std::string>();
    if (first.is_object()) {
      auto message = text_of(first, "message");
      return message.empty() ? text_of(first, "code") : message;
    }
  }
  if (const auto error = body.find("error"); error != body.end() && error->is_object())
    return text_of(*error, "message");
  for (const char* key : {"error", "message", "details", "error_description", "code"}) {
    if (auto text = text_of(body, key); !text.empty()) return text;
  }
  return {};
}

std::string from_html(std::string_view body) {
  const std::string small = lower(body.substr(0, kMaxErrorBodyBytes));
  const auto title = small.find("<title");
  const auto begin = title == std::string::npos ? title : small.find('>', title);
  const auto end = begin == std::string::npos ? begin : small.find("</title", begin);
  if (end == std::string::npos) return "a web page";
  return "a web page: " + std::string(body.substr(begin + 1, end - begin - 1));
}

// On one line; everything else is left to printable().
std::string flat(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

std::string error_text(std::string_view body) {
  body = body.substr(0, kMaxErrorBodyBytes);
  const auto begin = body.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  std::string words;
  if (body[begin] == '<') {
    words = is_s3_error(body) ? "an S3 error" : from_html(body);
    if (const auto code = body.find("<Code>"); is_s3_error(body) && code != std::string_view::npos) {
      words += " " + std::string(body.substr(code + 6, std::min<std::size_t>(body.find('<', code + 6) - code - 6, 64)));
    }
  } else {
    const auto json = Json::parse(body, nullptr, false);
    words = json.is_discarded() ? std::string(body) : from_json(json);
  }
  return printable(flat(words), kMaxErrorTextBytes);
}

bool is_s3_error(std::string_view body) {
  const auto start = body.substr(0, 1024);
  return start.find("<Error>") != std::string_view::npos && body.find("<Code>") != std::string_view::npos;
}

}  // namespace pullama::registry
