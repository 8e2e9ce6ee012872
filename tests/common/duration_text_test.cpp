#include "common/duration_text.h"

#include <doctest/doctest.h>

using namespace std::chrono_literals;
using pullama::format_duration;
using pullama::parse_duration;

TEST_CASE("durations are read in hours, minutes, seconds and milliseconds") {
  struct Row {
    const char* text;
    std::chrono::milliseconds value;
  };
  for (const Row& row : {Row{"90s", 90s},
                         {"30m", 30min},
                         {"2h", 2h},
                         {"1h30m", 90min},
                         {"500ms", 500ms},
                         {"1h1m1s1ms", 3661001ms},
                         {"1m500ms", 60500ms},
                         {"0h5s", 5s},
                         {"8784h", 8784h},
                         {"007s", 7s}}) {
    CAPTURE(row.text);
    const auto value = parse_duration(row.text);
    REQUIRE(value);
    CHECK(*value == row.value);
  }
}

TEST_CASE("a duration that is wrong, nothing or more than a year is refused with the right form") {
  for (const char* text : {"",
                           "0",
                           "90",
                           "0s",
                           "0h0m",
                           "-5s",
                           "+5s",
                           "5",
                           "s",
                           "5x",
                           "5 s",
                           " 5s",
                           "1.5h",
                           "30m1h",
                           "1m1m",
                           "1ms1s",
                           "5S",
                           "8785h",
                           "8784h1ms",
                           "99999999999999999999h",
                           "99999999999999999999ms",
                           "1h30"}) {
    CAPTURE(text);
    const auto value = parse_duration(text, "--timeout");
    REQUIRE_FALSE(value);
    CHECK(value.error().code == pullama::ErrorCode::kInvalidArgument);
    CHECK(value.error().message.starts_with("--timeout '"));
    CHECK(value.error().message.find("like 90s, 30m, 2h") != std::string::npos);
  }
}

TEST_CASE("durations are shown with the units that they need") {
  CHECK(format_duration(0ms) == "0s");
  CHECK(format_duration(999ms) == "0s");
  CHECK(format_duration(5s) == "5s");
  CHECK(format_duration(59999ms) == "59s");
  CHECK(format_duration(2min) == "2m0s");
  CHECK(format_duration(123s) == "2m3s");
  CHECK(format_duration(12min + 34s) == "12m34s");
  CHECK(format_duration(1h + 2min + 3s) == "1h2m3s");
  CHECK(format_duration(100h) == "100h0m0s");
  CHECK(format_duration(-5s) == "0s");
}
