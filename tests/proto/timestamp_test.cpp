#include "proto/timestamp.h"

#include <doctest/doctest.h>

using namespace std::chrono;
using pullama::proto::format_time;
using pullama::proto::parse_time;
using pullama::proto::Time;

TEST_CASE("times are UTC with milliseconds, there and back") {
  const Time time =
      Time(sys_days(year(2026) / November / 21)) + hours(19) + minutes(20) + seconds(13) + milliseconds(123);
  CHECK(format_time(time) == "2026-11-21T19:20:13.123Z");
  CHECK(*parse_time("2026-11-21T19:20:13.123Z") == time);
  CHECK(format_time(Time{}) == "1970-01-01T00:00:00.000Z");
  CHECK(format_time(Time(milliseconds(-1))) == "1969-12-31T23:59:59.999Z");
  CHECK(*parse_time("2024-02-29T00:00:00.000Z") == Time(sys_days(year(2024) / February / 29)));
  CHECK(format_time(Time::max()) == "9999-12-31T23:59:59.999Z");
  CHECK(format_time(Time::min()) == "0000-01-01T00:00:00.000Z");
}

TEST_CASE("what is no time is refused") {
  for (const char* text : {"", "2026-11-21", "2026-11-21T19:20:13Z", "2026-11-21T19:20:13.123",
                           "2026-11-21 19:20:13.123Z", "2026-13-21T19:20:13.123Z", "2026-02-29T19:20:13.123Z",
                           "2026-11-21T24:20:13.123Z", "2026-11-21T19:60:13.123Z", "2026-11-21T19:20:60.123Z",
                           "2026-11-21T19:20:13.12xZ", "2026-11-21T19:20:13.123ZZ", "-026-11-21T19:20:13.123Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_time(text));
  }
}
