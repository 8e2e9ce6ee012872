#include "proto/jsonrpc.h"

#include <doctest/doctest.h>

#include <limits>

#include "proto/line_codec.h"

using namespace pullama::proto;

namespace {

std::string nested(int depth) {
  return R"({"jsonrpc":"2.0","id":1,"method":"m","params":{"a":)" +
         std::string(static_cast<std::size_t>(depth - 2), '[') + std::string(static_cast<std::size_t>(depth - 2), ']') +
         "}}";
}

}  // namespace

TEST_CASE("a request is taken apart") {
  const auto message = parse_message(R"( {"jsonrpc":"2.0","id":7,"method":"job.get","params":{"job":"j"},"extra":1} )");
  REQUIRE(message);
  const auto& request = std::get<Request>(*message);
  CHECK(request.id == Id(std::int64_t{7}));
  CHECK(request.method == "job.get");
  CHECK(request.params == R"({"job":"j"})");
}

TEST_CASE("ids are integers, strings and null, and none makes a notification") {
  const auto id_of = [](const std::string& id) {
    const auto message = parse_message(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"m"})");
    REQUIRE(message);
    return *std::get<Request>(*message).id;
  };
  CHECK(id_of("-9223372036854775808") == Id(std::numeric_limits<std::int64_t>::min()));
  CHECK(id_of("9223372036854775807") == Id(std::numeric_limits<std::int64_t>::max()));
  CHECK(id_of(R"("a b")") == Id(std::string("a b")));
  CHECK(id_of("null") == Id());
  CHECK(id_of('"' + std::string(256, 'x') + '"') == Id(std::string(256, 'x')));
  const auto notification = parse_message(R"({"jsonrpc":"2.0","method":"m"})");
  REQUIRE(notification);
  CHECK_FALSE(std::get<Request>(*notification).id);
  CHECK(std::get<Request>(*notification).params == "{}");
}

TEST_CASE("what is no request is refused with JSON-RPC's number and the id where it is known") {
  struct Row {
    std::string line;
    int number;
    Id id = {};
    bool close = false;
  };
  const Id seven(std::int64_t{7});
  for (const Row& row : {
           Row{"", kParseError},
           {"hello", kParseError},
           {R"({"jsonrpc":"2.0","id":7,"method":"m")", kParseError},
           {R"({"jsonrpc":"2.0","id":7,"method":"m"} x)", kParseError},
           {R"({"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1e999}})", kParseError},
           {R"({"a":"\ud800"})", kParseError},
           {"{\"a\":\"\x01\"}", kParseError},
           {"{\"a\":\"\xff\"}", kParseError, {}, true},
           {"[]", kInvalidRequest},
           {R"([{"jsonrpc":"2.0","id":7,"method":"m"}])", kInvalidRequest},
           {"7", kInvalidRequest},
           {"null", kInvalidRequest},
           {"{}", kInvalidRequest},
           {R"({"id":7,"method":"m"})", kInvalidRequest, seven},
           {R"({"jsonrpc":2.0,"id":7,"method":"m"})", kInvalidRequest, seven},
           {R"({"jsonrpc":"1.0","id":"a","method":"m"})", kInvalidRequest, Id(std::string("a"))},
           {R"({"jsonrpc":"2.0","id":7})", kInvalidRequest, seven},
           {R"({"jsonrpc":"2.0","id":7,"method":7})", kInvalidRequest, seven},
           {R"({"jsonrpc":"2.0","id":7.5,"method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":true,"method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":{},"method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":[7],"method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":9223372036854775808,"method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":")" + std::string(257, 'x') + R"(","method":"m"})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":7,"method":"m","params":[1]})", kInvalidParams, seven},
           {R"({"jsonrpc":"2.0","id":7,"method":"m","params":null})", kInvalidParams, seven},
           {R"({"jsonrpc":"2.0","id":7,"method":"m","params":"x"})", kInvalidParams, seven},
           {R"({"jsonrpc":"2.0","id":7,"result":1,"error":{}})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","result":1})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":7,"error":{}})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":7,"error":{"code":1e3}})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":7,"error":{"code":99999999999}})", kInvalidRequest},
           {R"({"jsonrpc":"2.0","id":7,"error":{"code":-99999999999}})", kInvalidRequest},
           {nested(33), kParseError, {}, true},
           {std::string(100'000, '['), kParseError, {}, true},
           {std::string(100'000, '{'), kParseError, {}, true},
       }) {
    CAPTURE(row.line.substr(0, 80));
    const auto message = parse_message(row.line);
    REQUIRE_FALSE(message);
    CHECK(message.error().error.number == row.number);
    CHECK(message.error().id == row.id);
    CHECK(message.error().close == row.close);
    CHECK_FALSE(message.error().error.error.message.empty());
  }
}

TEST_CASE("a notification with wrong params is refused in silence, a request with the id null is not") {
  const auto notification = parse_message(R"({"jsonrpc":"2.0","method":"m","params":[1]})");
  REQUIRE_FALSE(notification);
  CHECK(notification.error().silent);
  const auto request = parse_message(R"({"jsonrpc":"2.0","id":null,"method":"m","params":[1]})");
  REQUIRE_FALSE(request);
  CHECK_FALSE(request.error().silent);
}

TEST_CASE("nesting is counted outside of strings, up to thirty-two") {
  CHECK(parse_message(nested(32)));
  const std::string brackets(100, '[');
  CHECK(parse_message(R"({"jsonrpc":"2.0","method":"m","params":{"a":")" + brackets + R"(\"[[","b":"\\"}})"));
}

TEST_CASE("an object with very many members is read in time that grows with its length") {
  std::string line = R"({"jsonrpc":"2.0","id":1,"method":"m","params":{)";
  int count = 0;
  while (line.size() < kMaxRequestLineBytes - 20) line += '"' + std::to_string(count++) + "\":0,";
  line += "\"x\":0}}";
  CHECK(count > 90'000);
  CHECK(parse_message(line));
}

TEST_CASE("replies are taken apart with their error") {
  const auto result = parse_message(R"({"jsonrpc":"2.0","id":7,"result":{"a":[1,2]}})");
  REQUIRE(result);
  CHECK(*std::get<Response>(*result).result == R"({"a":[1,2]})");
  const auto error = parse_message(
      R"({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no","data":{"kind":"not_found","exit_code":4,"hint":"h"}}})");
  REQUIRE(error);
  const auto& response = std::get<Response>(*error);
  CHECK(response.id == Id());
  REQUIRE_FALSE(response.result);
  CHECK(response.result.error().number == -32000);
  CHECK(response.result.error().error.code == pullama::ErrorCode::kNotFound);
  CHECK(response.result.error().error.message == "no");
  CHECK(response.result.error().error.hint == "h");
  const auto bare = parse_message(R"({"jsonrpc":"2.0","id":1,"error":{"code":-32603}})");
  REQUIRE(bare);
  CHECK(std::get<Response>(*bare).result.error().error.code == pullama::ErrorCode::kInternal);
}

TEST_CASE("lines are written whole and on one line") {
  CHECK(request_line(std::int64_t{1}, "daemon.info", "{}") ==
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"daemon.info\",\"params\":{}}\n");
  CHECK(result_line(std::string("a\"\n"), "{}") == "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"\\n\",\"result\":{}}\n");
  CHECK(event_line("{}") == "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{}}\n");
  CHECK(error_line(Id(), line_too_long(10).error) ==
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"the line is longer than 10 bytes\","
        "\"data\":{\"kind\":\"invalid_argument\",\"exit_code\":1,\"hint\":\"send one JSON object a line, in "
        "UTF-8\"}}}\n");
  CHECK(line_not_utf8().close);
}

TEST_CASE("a plain result is taken without being parsed, anything else is not") {
  const auto plain = parse_plain_result(R"({"jsonrpc":"2.0","id":7,"result":{"a":[1,"}"]}})");
  REQUIRE(plain.has_value());
  CHECK(std::get<std::int64_t>(plain->id) == 7);
  CHECK(*plain->result == R"({"a":[1,"}"]})");
  const std::string line = result_line(Id(std::int64_t{3}), "{}");
  CHECK(parse_plain_result(line.substr(0, line.size() - 1)).has_value());
  for (const std::string& other :
       {std::string(R"({"jsonrpc":"2.0","id":"x","result":{}})"), std::string(R"({"jsonrpc":"2.0","id":7,"error":{}})"),
        std::string(R"({"id":7,"jsonrpc":"2.0","result":{}})"),
        std::string(R"({"jsonrpc":"2.0","id":7,"result":{})") + "]",
        std::string(R"({"jsonrpc":"2.0","id":,"result":{}})"), std::string(), std::string("{"),
        R"({"jsonrpc":"2.0","id":7,"result":)" + std::string(40, '[') + std::string(40, ']') + "}"}) {
    CAPTURE(other);
    CHECK_FALSE(parse_plain_result(other).has_value());
  }
}
