#pragma once
// Durations as people type them ("90s", "1h30m", "500ms") and read them ("12m34s").

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama {

inline constexpr std::chrono::hours kLongestDuration{24 * 366};

// One or more whole numbers with unit h, m, s or ms, in that order, each at most once. More than zero, at most
// kLongestDuration. `what` names the argument in the error ("--timeout").
Result<std::chrono::milliseconds> parse_duration(std::string_view text, std::string_view what = "duration");

// "5s", "2m3s", "12m34s", "1h2m3s", "0s"; fractions of a second are cut off, negative is "0s".
std::string format_duration(std::chrono::milliseconds duration);

}  // namespace pullama
