#include "daemon/registry/retry_after.h"

#include <doctest/doctest.h>

#include <vector>

#include "daemon/registry/http_date.h"

using namespace pullama::registry;
using namespace std::chrono_literals;

namespace {
// Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::chrono::sys_seconds kThen{784'111'777s};
}  // namespace

TEST_CASE("the three forms of an HTTP date mean the same moment") {
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    CAPTURE(text);
    CHECK(parse_http_date(text) == kThen);
  }
}

TEST_CASE("what is no HTTP date is refused") {
  for (const char* text :
       {"", "now", "Sun, 06 Nov 1994", "Sun, 32 Nov 1994 08:49:37 GMT", "Sun, 31 Feb 2020 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT x", "Sun, 06 Nov 99999 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun Nov 6 08:49:37", "1994-11-06T08:49:37Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_http_date(text));
  }
}

TEST_CASE("Retry-After is clamped whatever it says") {
  struct Row {
    std::string value;
    std::optional<std::chrono::seconds> expected;
  };
  for (const auto& row : std::vector<Row>{{"0", 0s},
                                          {"7", 7s},
                                          {" 120 ", 120s},
                                          {"300", 300s},
                                          {"301", 300s},
                                          {"31536000", 300s},
                                          {"99999999999999999999999999", 300s},
                                          {"-5", 0s},
                                          {"Sun, 06 Nov 1994 08:50:00 GMT", 23s},
                                          {"Sun, 06 Nov 1994 08:00:00 GMT", 0s},
                                          {"Mon, 06 Nov 2034 08:49:37 GMT", 300s},
                                          {"", std::nullopt},
                                          {"soon", std::nullopt},
                                          {"1.5", std::nullopt},
                                          {"-", std::nullopt}}) {
    CAPTURE(row.value);
    CHECK(parse_retry_after(row.value, kThen) == row.expected);
  }
}
