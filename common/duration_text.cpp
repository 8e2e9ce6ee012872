#include "common/duration_text.h"

#include <fmt/format.h>

#include <array>

#include "common/printable.h"

namespace pullama {
namespace {

using std::chrono::milliseconds;

struct Unit {
  std::string_view name;
  milliseconds length;
};
constexpr std::array<Unit, 4> kUnits{{{"h", std::chrono::hours(1)},
                                      {"m", std::chrono::minutes(1)},
                                      {"s", std::chrono::seconds(1)},
                                      {"ms", milliseconds(1)}}};

}  // namespace

Result<milliseconds> parse_duration(std::string_view text, std::string_view what) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} '{}' {}; the right form is a duration like 90s, 30m, 2h, 1h30m or 500ms", what,
                            printable(text, 60), why));
  };
  constexpr milliseconds kMost = kLongestDuration;
  constexpr std::string_view kDigits = "0123456789";
  milliseconds total{0};
  std::size_t next_unit = 0;
  bool too_long = false;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t digits = std::min(rest.find_first_not_of(kDigits), rest.size());
    if (digits == 0) return refuse("is not understood");
    std::int64_t count = 0;
    for (const char c : rest.substr(0, digits))
      count = std::min<std::int64_t>(count * 10 + (c - '0'), kMost.count() + 1);
    rest.remove_prefix(digits);
    const std::string_view name = rest.substr(0, std::min(rest.find_first_of(kDigits), rest.size()));
    while (next_unit < kUnits.size() && kUnits[next_unit].name != name) ++next_unit;
    if (next_unit == kUnits.size()) return refuse("is not understood");
    const milliseconds unit = kUnits[next_unit++].length;
    rest.remove_prefix(name.size());
    if (count > (kMost - total) / unit) {
      too_long = true;
    } else {
      total += count * unit;
    }
  }
  if (too_long) return refuse("is longer than a year");
  if (text.empty()) return refuse("is empty");
  if (total == milliseconds(0)) return refuse("must be more than zero");
  return total;
}

std::string format_duration(milliseconds duration) {
  const auto seconds = std::max<std::int64_t>(0, duration / std::chrono::seconds(1));
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace pullama
