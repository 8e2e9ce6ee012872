#include "daemon/registry/retry_after.h"

#include <algorithm>
#include <cstdint>

#include "daemon/registry/ascii.h"
#include "daemon/registry/http_date.h"

namespace pullama::registry {

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now) {
  using std::chrono::seconds;
  value = trim(value);
  const bool negative = value.starts_with('-');
  const auto digits = negative ? value.substr(1) : value;
  if (!digits.empty() && std::all_of(digits.begin(), digits.end(), is_digit)) {
    if (negative) return seconds(0);
    const auto number = parse_digits<std::uint64_t>(digits);  // nullopt: too long for 64 bits
    return number && *number < std::uint64_t(kMaxRetryAfter.count()) ? seconds(*number) : kMaxRetryAfter;
  }
  const auto date = parse_http_date(value);
  if (!date) return std::nullopt;
  const auto wait = *date - std::chrono::floor<seconds>(now);
  return std::clamp(std::chrono::duration_cast<seconds>(wait), seconds(0), kMaxRetryAfter);
}

}  // namespace pullama::registry
