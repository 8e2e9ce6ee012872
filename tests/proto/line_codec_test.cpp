#include "proto/line_codec.h"

#include <doctest/doctest.h>

#include <vector>

using pullama::proto::LineDecoder;
using pullama::proto::looks_like_http;
using Fault = LineDecoder::Fault;

namespace {

std::vector<std::string> take(LineDecoder& decoder) {
  std::vector<std::string> lines;
  while (auto line = decoder.next()) lines.push_back(*line);
  return lines;
}

}  // namespace

TEST_CASE("lines come whole however the bytes were cut") {
  const std::string text = "one\n\ntwo \xe4\xb8\xad\r\nthree";
  const std::vector<std::string> lines{"one", "", "two \xe4\xb8\xad\r"};
  for (std::size_t step = 1; step <= text.size(); ++step) {
    LineDecoder decoder;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < text.size(); at += step) {
      decoder.feed(std::string_view(text).substr(at, step));
      for (auto& line : take(decoder)) got.push_back(line);
    }
    CHECK(got == lines);
    CHECK(decoder.fault() == Fault::kNone);
    CHECK(decoder.pending_bytes() == 5);
  }
}

TEST_CASE("a line of the longest length passes and one byte more ends the stream") {
  LineDecoder decoder(8);
  decoder.feed("12345678\n12345678");
  CHECK(take(decoder) == std::vector<std::string>{"12345678"});
  CHECK(decoder.fault() == Fault::kNone);
  decoder.feed("9");
  CHECK(take(decoder).empty());
  CHECK(decoder.fault() == Fault::kTooLong);
  CHECK(decoder.pending_bytes() == 0);
  decoder.feed("\nok\n");
  CHECK(take(decoder).empty());
}

TEST_CASE("a line that is too long is refused when its end came with it, too") {
  LineDecoder decoder(4);
  decoder.feed("ok\n12345\nok\n");
  CHECK(take(decoder) == std::vector<std::string>{"ok"});
  CHECK(decoder.fault() == Fault::kTooLong);
}

TEST_CASE("bytes that are not UTF-8 end the stream after the lines before them") {
  LineDecoder decoder;
  decoder.feed("ok\n\xff\nok\n");
  CHECK(take(decoder) == std::vector<std::string>{"ok"});
  CHECK(decoder.fault() == Fault::kNotUtf8);
}

TEST_CASE("an endless line never holds more than the limit and one piece") {
  LineDecoder decoder(1000);
  const std::string piece(300, 'x');
  for (int i = 0; i < 1000; ++i) {
    decoder.feed(piece);
    CHECK_FALSE(decoder.next());
    CHECK(decoder.pending_bytes() <= 1000 + piece.size());
  }
  CHECK(decoder.fault() == Fault::kTooLong);
}

TEST_CASE("the first line of an HTTP request is known") {
  CHECK(looks_like_http("GET / HTTP/1.1\r"));
  CHECK(looks_like_http("POST /x y HTTP/1.0"));
  CHECK(looks_like_http("PRI * HTTP/2.0\r"));
  CHECK_FALSE(looks_like_http(""));
  CHECK_FALSE(looks_like_http("GET"));
  CHECK_FALSE(looks_like_http(" / HTTP/1.1"));
  CHECK_FALSE(looks_like_http("GET HTTP/1.1"));
  CHECK_FALSE(looks_like_http(R"({"method": "GET / HTTP/1.1"})"));
}
