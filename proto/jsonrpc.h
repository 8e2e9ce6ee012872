#pragma once
// The JSON-RPC 2.0 envelope, a line at a time. `params`, `result` travel through here as JSON text; message.h turns
// them into structs. Nothing here throws, and nothing a peer sends nests deeper than kMaxDepth by the time it is
// parsed.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "proto/errors.h"

namespace pullama::proto {

inline constexpr int kMaxDepth = 32;             // of arrays and objects, the message itself included
inline constexpr std::size_t kMaxIdBytes = 256;  // of an id that is a string

// monostate is null.
using Id = std::variant<std::monostate, std::int64_t, std::string>;

struct Request {
  std::optional<Id> id;  // none: a notification, which gets no reply
  std::string method;
  std::string params;  // a JSON object as text, "{}" where it was left out
};

struct Response {
  Id id;
  tl::expected<std::string, RpcError> result;  // JSON text
};

using Message = std::variant<Request, Response>;

// What to answer to a line that is no message. `close`: after that, end the connection.
struct LineFault {
  Id id;
  RpcError error;
  bool close = false;
  bool silent = false;  // of a notification: nothing is answered
};

// One line without its end. A batch, a wrong "jsonrpc" or id is kInvalidRequest, params that are no object
// kInvalidParams, text that is no JSON kParseError; nesting deeper than kMaxDepth is kParseError with close.
tl::expected<Message, LineFault> parse_message(std::string_view line);

// The reply to a line that LineDecoder refused.
LineFault line_too_long(std::size_t max_line_bytes);
LineFault line_not_utf8();

// Whole lines with their '\n'. `params` and `result` must be JSON text on one line, as write() makes it.
// A reply with a result, by the form in which result_line() writes it, without parsing the result: nothing is known of
// its text but that it does not nest too deep; whoever reads it must refuse what is no JSON value. nullopt: not of that
// form.
std::optional<Response> parse_plain_result(std::string_view line);

std::string request_line(const Id& id, std::string_view method, std::string_view params);
std::string result_line(const Id& id, std::string_view result);
std::string error_line(const Id& id, const RpcError& error);
std::string event_line(std::string_view params);

}  // namespace pullama::proto
