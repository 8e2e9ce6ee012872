#include "daemon/registry/head_parser.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pullama::registry;
using Event = HeadParser::Event;

namespace {

Event feed_all(HeadParser& parser, const std::vector<std::string>& lines) {
  Event event = Event::kMore;
  for (const auto& line : lines) {
    event = parser.feed(line);
    if (event != Event::kMore) break;
  }
  return event;
}

}  // namespace

TEST_CASE("header values come through byte for byte") {
  HeadParser parser;
  REQUIRE(feed_all(parser, {"HTTP/1.1 307 Temporary Redirect\r\n", "Location: \t https://h/%2B%0d%0a?a=%2f+ \r\n",
                            "X-Empty:\r\n", "x-utf8: \xC3\xA9\tx\n", "\r\n"}) == Event::kHead);
  CHECK(parser.head().status == 307);
  REQUIRE(parser.head().find("LOCATION") != nullptr);
  CHECK(*parser.head().find("location") == "https://h/%2B%0d%0a?a=%2f+");
  CHECK(parser.head().find("X-Empty")->empty());
  CHECK(*parser.head().find("X-UTF8") == "\xC3\xA9\tx");
  CHECK(parser.head().find("Missing") == nullptr);
}

TEST_CASE("1xx heads are dropped with their headers") {
  HeadParser parser;
  REQUIRE(feed_all(parser, {"HTTP/1.1 100 Continue\r\n", "X-Early: 1\r\n", "\r\n", "HTTP/1.1 103\r\n", "\r\n",
                            "HTTP/1.0 200\r\n", "X-Final: 2\r\n", "\r\n"}) == Event::kHead);
  CHECK(parser.head().status == 200);
  CHECK(parser.head().headers.size() == 1);
  CHECK(parser.feed("X-Trailer: 3\r\n") == Event::kMore);
  CHECK(parser.head().headers.size() == 1);
}

TEST_CASE("odd heads are refused by name") {
  struct Row {
    std::vector<std::string> lines;
    std::string words;
  };
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  for (const auto& row : std::vector<Row>{
           {{"ICY 200 OK\r\n"}, "status line"},
           {{"HTTP/1.1\r\n"}, "status line"},
           {{"HTTP/1.1 20\r\n"}, "status line"},
           {{"HTTP/1.1 99 x\r\n"}, "status line"},
           {{"HTTP/1.1 600 x\r\n"}, "status line"},
           {{"HTTP/1.1 2000\r\n"}, "status line"},
           {{"HTTP/1.1 -20 x\r\n"}, "status line"},
           {{"\r\n"}, "status line"},
           {{"HTTP/1.1 101 Switching\r\n"}, "change the protocol"},
           {{ok, "X: a\rb\r\n"}, "'X' has control"},
           {{ok, "X: a\x1b[31m\r\n"}, "'X' has control"},
           {{ok, std::string("X: a\0b\r\n", 8)}, "'X' has control"},
           {{ok, "X: a\x7f\r\n"}, "'X' has control"},
           {{ok, "X: a\r\n", " b\r\n"}, "second line"},
           {{ok, "no colon\r\n"}, "no proper name"},
           {{ok, ": x\r\n"}, "no proper name"},
           {{ok, "X : x\r\n"}, "no proper name"},
           {{ok, "Content-Length: 1\r\n", "content-length: 2\r\n"}, "two lengths"},
           {{ok, "Transfer-Encoding: gzip, chunked\r\n"}, "transfer coding"},
       }) {
    CAPTURE(row.lines.back());
    HeadParser parser;
    CHECK(feed_all(parser, row.lines) == Event::kRefused);
    CHECK_MESSAGE(parser.problem().find(row.words) != std::string::npos, parser.problem());
  }
}

TEST_CASE("more than 64 KiB of headers are refused, however they are cut") {
  HeadParser long_lines;
  CHECK(long_lines.feed("HTTP/1.1 200 OK\r\n") == Event::kMore);
  CHECK(long_lines.feed("X: " + std::string(70'000, 'a') + "\r\n") == Event::kRefused);

  HeadParser flood;
  Event event = Event::kMore;
  for (int i = 0; i < 5000 && event == Event::kMore; ++i) {
    event = feed_all(flood, {"HTTP/1.1 100 Continue\r\n", "\r\n"});
  }
  CHECK(event == Event::kRefused);
  CHECK(flood.problem().find("64 KiB") != std::string::npos);
}
