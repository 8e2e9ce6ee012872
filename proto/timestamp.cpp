#include "proto/timestamp.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/printable.h"

namespace pullama::proto {
namespace {

using namespace std::chrono;

constexpr Time kFirst = sys_days(year(0) / January / 1);
constexpr Time kLast = Time(sys_days(year(10000) / January / 1)) - milliseconds(1);

// "2026-11-21T19:20:13.123Z": 0 stands for a digit, everything else for itself.
constexpr std::string_view kPattern = "0000-00-00T00:00:00.000Z";

}  // namespace

Time now() { return floor<milliseconds>(system_clock::now()); }

std::string format_time(Time time) {
  time = std::clamp(time, kFirst, kLast);
  const auto days = floor<std::chrono::days>(time);
  const year_month_day date(days);
  const hh_mm_ss clock(time - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

Result<Time> parse_time(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no time; the right form is 2026-11-21T19:20:13.123Z", printable(text, 60)));
  };
  if (text.size() != kPattern.size()) return refuse();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kPattern[i] == '0' ? !digit : text[i] != kPattern[i]) return refuse();
  }
  const auto number = [&](std::size_t at, std::size_t digits) {
    int value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const year_month_day date(year(number(0, 4)), month(static_cast<unsigned>(number(5, 2))),
                            day(static_cast<unsigned>(number(8, 2))));
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return refuse();
  return Time(sys_days(date)) + hours(hour) + minutes(minute) + seconds(second) + milliseconds(number(20, 3));
}

}  // namespace pullama::proto
