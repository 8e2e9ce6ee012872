#include "daemon/registry/redirect.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pullama::registry;

namespace {

Url url(const std::string& text) {
  auto parsed = Url::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("a redirect leads where its bytes say") {
  struct Row {
    std::string current, location, expected;
  };
  const std::vector<Row> rows{
      {"https://r/v2/a/blobs/x",
       "https://cdn.example/d?X=%2B%2f%25&s=a+b=", "https://cdn.example/d?X=%2B%2f%25&s=a+b="},
      {"https://r/v2/a/blobs/x", "HTTPS://cdn.example:8443/%0d%0aX", "HTTPS://cdn.example:8443/%0d%0aX"},
      {"https://r:5000/v2/a/blobs/x", "//cdn.example/d", "https://cdn.example/d"},
      {"http://r:5000/v2/a/blobs/x", "/d?q#f", "http://r:5000/d?q"},
      {"http://r:5000/v2/a/blobs/x?old=1", "?new=%2b", "http://r:5000/v2/a/blobs/x?new=%2b"},
      {"http://r/v2/a/blobs/x", "y/z?q=..", "http://r/v2/a/blobs/y/z?q=.."},
      {"http://r/v2/a/blobs/x", "../y", "http://r/v2/a/y"},
      {"http://r/v2/a/blobs/x", "../../../../../y", "http://r/y"},
      {"http://r/v2/a/blobs/x", "./y/..", "http://r/v2/a/blobs/"},
      {"http://r/v2/a/blobs/x", ".", "http://r/v2/a/blobs/"},
      {"http://r", "y:z/a", "refused"},
      {"http://r", "./y:z", "http://r/y:z"},
      {"http://r/a", "https://s/b", "https://s/b"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.location);
    const auto target = resolve_redirect(url(row.current), row.location);
    if (row.expected == "refused") {
      CHECK_FALSE(target);
      continue;
    }
    REQUIRE(target);
    CHECK(target->text == row.expected);
  }
}

TEST_CASE("redirects that lead astray are refused by name") {
  struct Row {
    std::string location, words;
  };
  for (const auto& row : std::vector<Row>{
           {"", "no place"},
           {"http://r.example/x", "https to http"},
           {"http://cdn.example/x", "https to http"},
           {"ftp://h/", "'ftp:'"},
           {"file:///etc/passwd", "'file:'"},
           {"javascript:alert(1)", "'javascript:'"},
           {"https:x", "'https:'"},
           {"https://user:hush@h/", "user name"},
           {"//user:hush@h/", "user name"},
           {"https://h/\r\nSet-Cookie: a", "control characters"},
           {"/a b", "control characters"},
           {"https://h/" + std::string(100'000, 'a'), "8 KiB"},
           {"/" + std::string(8190, 'a'), "8 KiB"},
           {"https://:443/", "host"},
       }) {
    CAPTURE(row.location.substr(0, 40));
    const auto target = resolve_redirect(url("https://r.example/v2/x"), row.location);
    REQUIRE_FALSE(target);
    CHECK_MESSAGE(target.error().message.find(row.words) != std::string::npos, target.error().message);
    CHECK(target.error().message.find("r.example") != std::string::npos);
    CHECK(target.error().message.find("hush") == std::string::npos);
  }
}

TEST_CASE("authorization stays at the origin that it was made for") {
  struct Row {
    std::string registry, target;
    bool allowed;
  };
  for (const auto& row : std::vector<Row>{
           {"https://r.example", "https://r.example/v2/x", true},
           {"https://r.example", "https://R.example:443/v2/x", true},
           {"https://r.example", "https://r.example:8443/", false},
           {"https://r.example", "http://r.example/", false},
           {"https://r.example", "http://r.example:443/", false},
           {"https://r.example", "https://sub.r.example/", false},
           {"https://r.example", "https://example/", false},
           {"http://r.example:5000", "http://r.example:5000/x", true},
           {"http://r.example:5000", "https://r.example:5000/x", false},
           {"https://hf.co", "https://huggingface.co/v2/x", true},
           {"https://huggingface.co", "https://hf.co/v2/x", true},
           {"https://hf.co", "http://huggingface.co/v2/x", false},
           {"https://hf.co", "https://huggingface.co:444/v2/x", false},
           {"https://hf.co", "https://cdn.hf.co/v2/x", false},
           {"https://registry.ollama.ai", "https://ollama.com/", false},
       }) {
    CAPTURE(row.registry);
    CAPTURE(row.target);
    CHECK(may_send_authorization(url(row.registry), url(row.target)) == row.allowed);
  }
}

TEST_CASE("only five statuses redirect") {
  for (int status = 100; status < 600; ++status) {
    const bool expected = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
    CHECK(is_redirect(status) == expected);
  }
}
