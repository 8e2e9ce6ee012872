// Every file of proto/examples is one line of the protocol, read and written again by the code byte for byte.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "proto/events.h"
#include "proto/jsonrpc.h"
#include "proto/methods.h"
#include "tests/proto/message_table.h"

using namespace pullama::proto;

namespace {

// "pull.start.request-options.json" → "pull.start", "request".
struct ExampleName {
  std::string subject, role;
};

ExampleName parse_name(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  if (stem.starts_with("event.")) return {stem.substr(6, stem.find('-') - 6), "event"};
  if (stem.starts_with("error.")) return {stem.substr(6), "error"};
  const std::size_t dot = stem.rfind('.');
  REQUIRE(dot != std::string::npos);
  const std::string role = stem.substr(dot + 1);
  return {stem.substr(0, dot), role.substr(0, role.find('-'))};
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string again(const ExampleName& name, const Message& message) {
  if (const auto* request = std::get_if<Request>(&message)) {
    if (name.role == "event") {
      CHECK_FALSE(request->id);
      CHECK(request->method == "event");
      const auto event = read<Event>(request->params);
      REQUIRE_MESSAGE(event, event.error().message);
      CHECK(event->type() == name.subject);
      return event_line(write(*event));
    }
    CHECK(name.role == "request");
    CHECK(request->method == name.subject);
    const auto params = test::find_method(request->method)->params(request->params);
    REQUIRE_MESSAGE(params, params.error().message);
    return request_line(*request->id, request->method, *params);
  }
  const Response& response = std::get<Response>(message);
  if (name.role == "error") {
    REQUIRE_FALSE(response.result);
    return error_line(response.id, response.result.error());
  }
  CHECK(name.role == "response");
  REQUIRE(response.result);
  const auto result = test::find_method(name.subject)->result(*response.result);
  REQUIRE_MESSAGE(result, result.error().message);
  return result_line(response.id, *result);
}

}  // namespace

TEST_CASE("every golden example is read and written again byte for byte") {
  std::map<std::string, std::set<std::string>> seen;
  for (const auto& entry : std::filesystem::directory_iterator(PULLAMA_PROTO_DIR "/examples")) {
    CAPTURE(entry.path().filename().string());
    const ExampleName name = parse_name(entry.path());
    seen[name.role].insert(name.subject);
    const std::string line = contents(entry.path());
    REQUIRE(line.ends_with('\n'));
    const auto message = parse_message(std::string_view(line).substr(0, line.size() - 1));
    REQUIRE_MESSAGE(message, message.error().error.error.message);
    CHECK(again(name, *message) == line);
  }
  const auto methods = all_methods(), events = all_event_types();
  CHECK(seen["request"] == std::set<std::string>(methods.begin(), methods.end()));
  CHECK(seen["response"] == std::set<std::string>(methods.begin(), methods.end()));
  CHECK(seen["event"] == std::set<std::string>(events.begin(), events.end()));
}

TEST_CASE("no prefix of a golden example is taken for a message") {
  for (const auto& entry : std::filesystem::directory_iterator(PULLAMA_PROTO_DIR "/examples")) {
    const std::string line = contents(entry.path());
    for (std::size_t length = 0; length + 1 < line.size(); ++length) {
      const auto message = parse_message(std::string_view(line).substr(0, length));
      REQUIRE_FALSE(message);
      REQUIRE(message.error().error.number == kParseError);
    }
  }
}

TEST_CASE("the table of the tests names each method once") {
  std::set<std::string_view> names;
  for (const auto& row : test::method_rows()) names.insert(row.name);
  CHECK(names.size() == test::method_rows().size());
  CHECK(names.size() == all_methods().size());
  for (const std::string_view name : names) CHECK(is_method(name));
  CHECK_FALSE(is_method("pull.begin"));
}
