#include "daemon/registry/url.h"

#include <doctest/doctest.h>

#include <vector>

using pullama::registry::Url;

TEST_CASE("a URL is taken apart and kept byte for byte") {
  struct Row {
    std::string text, scheme, host;
    unsigned port;
    std::string target, authority, path;
  };
  const std::vector<Row> rows{
      {"https://registry.ollama.ai/v2/", "https", "registry.ollama.ai", 443, "/v2/", "registry.ollama.ai", "/v2/"},
      {"HTTP://LocalHost:5000", "http", "localhost", 5000, "/", "localhost:5000", "/"},
      {"http://h:80/a", "http", "h", 80, "/a", "h", "/a"},
      {"https://h:80/a", "https", "h", 80, "/a", "h:80", "/a"},
      {"https://h?x=%2B%2f&y=a@b", "https", "h", 443, "/?x=%2B%2f&y=a@b", "h", "/"},
      {"https://[2001:DB8::1]:8443/x", "https", "[2001:db8::1]", 8443, "/x", "[2001:db8::1]:8443", "/x"},
      {"https://[::1]/x?q", "https", "[::1]", 443, "/x?q", "[::1]", "/x"},
      {"https://a_b.c-d.e./x", "https", "a_b.c-d.e.", 443, "/x", "a_b.c-d.e.", "/x"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.text);
    const auto url = Url::parse(row.text);
    REQUIRE(url);
    CHECK(url->text == row.text);
    CHECK(url->scheme == row.scheme);
    CHECK(url->host == row.host);
    CHECK(url->port == row.port);
    CHECK(url->target == row.target);
    CHECK(url->authority() == row.authority);
    CHECK(url->path() == row.path);
  }
}

TEST_CASE("a fragment is not sent") {
  const auto url = Url::parse("https://h/a?b#c?d");
  REQUIRE(url);
  CHECK(url->text == "https://h/a?b");
  CHECK(url->target == "/a?b");
}

TEST_CASE("odd URLs are refused without repeating their secrets") {
  for (const std::string& text : std::vector<std::string>{"",
                                                          "h/x",
                                                          "ftp://h/",
                                                          "file:///etc/passwd",
                                                          "https:/h",
                                                          "https://",
                                                          "https:///x",
                                                          "https://user@h/",
                                                          "https://user:password@h/",
                                                          "https://h:0/",
                                                          "https://h:65536/",
                                                          "https://h:/",
                                                          "https://h:1x/",
                                                          "https://h:-1/",
                                                          "https://h h/",
                                                          "https://h/a b",
                                                          "https://h/\r\nX: y",
                                                          "https://h/\x7f",
                                                          "https://h/\xc3\xa9",
                                                          "https://h\\@g/",
                                                          "https://h%2eg/",
                                                          "https://[::1/",
                                                          "https://::1/",
                                                          "https://[fe80::1%25eth0]/",
                                                          "https://[1.2.3.4]/",
                                                          "https://h\xC3\xA9/",
                                                          "https://h/" + std::string(8192, 'a'),
                                                          std::string("https://h/\0x", 12),
                                                          "https://h@/",
                                                          "https://a,b/"}) {
    CAPTURE(text.substr(0, 60));
    const auto url = Url::parse(text);
    REQUIRE_FALSE(url);
    CHECK(url.error().message.find("password@") == std::string::npos);
  }
}
