#pragma once
// Times on the wire: UTC with milliseconds, "2026-11-21T19:20:13.123Z".

#include <chrono>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::proto {

using Time = std::chrono::sys_time<std::chrono::milliseconds>;

Time now();  // the system's clock
// Years 0000 to 9999; what lies outside is shown as the nearest of these.
std::string format_time(Time time);
Result<Time> parse_time(std::string_view text);

}  // namespace pullama::proto
