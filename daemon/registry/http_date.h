#pragma once
// The three forms of an HTTP date (RFC 9110 section 5.6.7): IMF-fixdate, RFC 850, asctime. Pure.

#include <chrono>
#include <optional>
#include <string_view>

namespace pullama::registry {

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view value);

}  // namespace pullama::registry
