#include "daemon/registry/error_text.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pullama::registry;

TEST_CASE("a registry's words are found in every form of error") {
  struct Row {
    std::string body, expected;
  };
  for (const auto& row : std::vector<Row>{
           {R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]})",
            "manifest unknown"},
           {R"({"errors":[{"code":"DENIED"}]})", "DENIED"},
           {R"({"errors":["no"]})", "no"},
           {R"({"error":"We had to rate limit your IP"})", "We had to rate limit your IP"},
           {R"({"error":{"message":"inner"}})", "inner"},
           {R"({"code":"x","error":"y"})", "y"},
           {R"({"message":"m"})", "m"},
           {R"({"details":"d"})", "d"},
           {R"("just a string")", "just a string"},
           {"file does not\n  exist\r\n", "file does not exist"},
           {"<html><head><TITLE lang=en> 502 Bad\nGateway </TITLE>", "a web page: 502 Bad Gateway"},
           {"<!doctype html><p>x", "a web page"},
           {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><StringToSign>hush</StringToSign></Error>",
            "an S3 error AccessDenied"},
           {"", ""},
           {" \n ", ""},
           {"{}", ""},
           {"[]", ""},
           {R"({"errors":[]})", ""},
           {R"({"errors":[{"message":7}]})", ""},
           {"{broken", "{broken"},
       }) {
    CAPTURE(row.body);
    CHECK(error_text(row.body) == row.expected);
  }
}

TEST_CASE("what a registry says cannot reach the terminal raw or at length") {
  const auto text = error_text("\x1b[31mred\x1b[0m " + std::string(5000, 'x'));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.size() <= kMaxErrorTextBytes);
  CHECK(error_text(R"({"error":"a\u001b[2Jb"})").find('\x1b') == std::string::npos);
  CHECK(error_text(std::string(10'000'000, '[')).size() <= kMaxErrorTextBytes);
}

TEST_CASE("S3's XML is told from other bodies") {
  CHECK(is_s3_error("<?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code></Error>"));
  CHECK_FALSE(is_s3_error("<html>Error</html>"));
  CHECK_FALSE(is_s3_error(""));
}
