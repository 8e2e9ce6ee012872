#include "proto/jsonrpc.h"

#include <fmt/format.h>

#include <charconv>

#include "common/utf8.h"
#include "proto/fields.h"

namespace pullama::proto {
namespace {

// Before the JSON library sees it: brackets outside of strings. What is no JSON at all may be misjudged, and is refused
// either way.
bool too_deep(std::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

// nullopt: no id can have this value.
std::optional<Id> read_id(const Json& json) {
  if (json.is_null()) return Id(std::monostate());
  if (json.is_string() && json.get_ref<const std::string&>().size() <= kMaxIdBytes) return Id(json.get<std::string>());
  if (!json.is_number_integer()) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > kMost) return std::nullopt;
  return Id(json.get<std::int64_t>());
}

std::string id_text(const Id& id) {
  if (const auto* number = std::get_if<std::int64_t>(&id)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&id)) return json_string(*text);
  return "null";
}

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string string_member(const Json& object, std::string_view name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<RpcError> read_error(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto number = json.find("code");
  if (number == json.end() || !number->is_number_integer()) return std::nullopt;
  if (number->is_number_unsigned() && number->get<std::uint64_t>() > 1'000'000) return std::nullopt;
  const auto value = number->get<std::int64_t>();
  if (value < -1'000'000) return std::nullopt;
  RpcError error{static_cast<int>(value), Error{ErrorCode::kInternal, string_member(json, "message"), "", 0}};
  if (const auto data = json.find("data"); data != json.end() && data->is_object()) {
    error.error.code = code_of_kind(string_member(*data, "kind"));
    error.error.hint = string_member(*data, "hint");
  }
  return error;
}

tl::expected<Message, LineFault> read_request(const Json& json, std::optional<Id> id) {
  const bool wants_reply = id.has_value();
  const Id reply_to = id.value_or(Id());
  const Json& method = json.at("method");
  if (!method.is_string()) return tl::unexpected(LineFault{reply_to, invalid_request("'method' must be a string")});
  Request request{std::move(id), method.get<std::string>(), "{}"};
  if (const auto params = json.find("params"); params != json.end()) {
    if (!params->is_object()) {
      Error error{ErrorCode::kInvalidArgument, "'params' must be an object", "name each parameter", 0};
      return tl::unexpected(LineFault{reply_to, invalid_params(std::move(error)), false, !wants_reply});
    }
    request.params = text_of(*params);
  }
  return Message(std::move(request));
}

tl::expected<Message, LineFault> read_response(const Json& json, const std::optional<Id>& id) {
  const auto result = json.find("result"), error = json.find("error");
  if (!id || (result == json.end()) == (error == json.end())) {
    return tl::unexpected(LineFault{Id(), invalid_request("the object is neither a request nor a reply")});
  }
  if (result != json.end()) return Message(Response{*id, text_of(*result)});
  auto read = read_error(*error);
  if (!read) return tl::unexpected(LineFault{Id(), invalid_request("'error' is no error object")});
  return Message(Response{*id, tl::unexpected(std::move(*read))});
}

}  // namespace

tl::expected<Message, LineFault> parse_message(std::string_view line) {
  if (too_deep(line)) {
    return tl::unexpected(LineFault{Id(), parse_error(fmt::format("the line nests deeper than {}", kMaxDepth)), true});
  }
  if (!is_utf8(line)) return tl::unexpected(line_not_utf8());
  const std::optional<Json> json = parse_json(line);
  if (!json) return tl::unexpected(LineFault{Id(), parse_error("the line is no JSON")});
  const auto refuse = [](Id id, const char* why) {
    return tl::unexpected(LineFault{std::move(id), invalid_request(why)});
  };
  if (json->is_array()) return refuse(Id(), "batches are not supported: send one request a line");
  if (!json->is_object()) return refuse(Id(), "a request must be an object");
  std::optional<Id> id;
  if (const auto member = json->find("id"); member != json->end()) {
    id = read_id(*member);
    if (!id) return refuse(Id(), "'id' must be an integer, a string of at most 256 bytes, or null");
  }
  if (string_member(*json, "jsonrpc") != "2.0") return refuse(id.value_or(Id()), "'jsonrpc' must be \"2.0\"");
  if (json->contains("method")) return read_request(*json, std::move(id));
  if (json->contains("result") || json->contains("error")) return read_response(*json, id);
  return refuse(id.value_or(Id()), "'method' is missing");
}

std::optional<Response> parse_plain_result(std::string_view line) {
  constexpr std::string_view kBegin = "{\"jsonrpc\":\"2.0\",\"id\":", kResult = ",\"result\":";
  if (!line.starts_with(kBegin) || !line.ends_with('}')) return std::nullopt;
  std::string_view rest = line.substr(kBegin.size());
  std::int64_t id = 0;
  const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), id);
  if (fault != std::errc()) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  if (!rest.starts_with(kResult) || too_deep(line)) return std::nullopt;
  rest.remove_prefix(kResult.size());
  rest.remove_suffix(1);
  return Response{Id(id), std::string(rest)};
}

LineFault line_too_long(std::size_t max_line_bytes) {
  return {Id(), parse_error(fmt::format("the line is longer than {} bytes", max_line_bytes)), true};
}

LineFault line_not_utf8() { return {Id(), parse_error("the line is not UTF-8"), true}; }

std::string request_line(const Id& id, std::string_view method, std::string_view params) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":{},\"params\":{}}}\n", id_text(id),
                     json_string(method), params);
}

std::string result_line(const Id& id, std::string_view result) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{}}}\n", id_text(id), result);
}

std::string error_line(const Id& id, const RpcError& error) {
  const std::string data = JsonObject()
                               .add("kind", kind_name(error.error.code))
                               .add("exit_code", exit_code(error.error.code))
                               .add("hint", error.error.hint)
                               .str();
  const std::string object =
      JsonObject().add("code", error.number).add("message", error.error.message).add_json("data", data).str();
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}\n", id_text(id), object);
}

std::string event_line(std::string_view params) {
  return fmt::format("{{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}}\n", params);
}

}  // namespace pullama::proto
