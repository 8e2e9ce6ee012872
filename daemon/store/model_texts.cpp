#include "daemon/store/model_texts.h"

#include <nlohmann/json.hpp>

#include "common/json_text.h"

namespace pullama::store {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 32;

// An object that is nested no deeper than anybody needs; discarded otherwise.
Json parse_object(std::string_view text) {
  bool too_deep = false;
  const Json::parser_callback_t look = [&](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  Json json = Json::parse(text.begin(), text.end(), look, false);
  if (too_deep || holds_nul(text) || !json.is_object()) return Json::object();
  return json;
}

std::string string_member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

ModelConfig parse_config(std::string_view text) {
  const Json json = parse_object(text);
  ModelConfig config;
  config.format = string_member(json, "model_format");
  config.family = string_member(json, "model_family");
  config.parameter_size = string_member(json, "model_type");
  config.quantization = string_member(json, "file_type");
  config.remote_host = string_member(json, "remote_host");
  config.remote_model = string_member(json, "remote_model");
  return config;
}

std::vector<std::pair<std::string, std::string>> parse_parameters(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> parameters;
  const Json json = parse_object(text);
  for (const auto& [name, value] : json.items()) {
    if (!value.is_array()) {
      parameters.emplace_back(name, as_text(value));
      continue;
    }
    for (const Json& element : value) parameters.emplace_back(name, as_text(element));
  }
  return parameters;
}

}  // namespace pullama::store
