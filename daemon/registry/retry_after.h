#pragma once
// How long a registry wants us to wait: Retry-After as seconds or as a date, clamped to [0, 300 s] whatever it says.
// Pure.

#include <chrono>
#include <optional>
#include <string_view>

namespace pullama::registry {

inline constexpr std::chrono::seconds kMaxRetryAfter{300};

// nullopt where the value is neither a number nor a date. Negative numbers and dates in the past are 0.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now);

}  // namespace pullama::registry
