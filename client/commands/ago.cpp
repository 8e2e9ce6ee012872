#include "client/commands/ago.h"

#include <fmt/format.h>

namespace pullama::client {

std::string ago_text(proto::Time then, proto::Time now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - then).count();
  if (seconds < 0) return "in the future";
  const auto minutes = seconds / 60, hours = seconds / 3600, days = hours / 24;
  const auto text = [&]() -> std::string {
    if (seconds < 1) return "Less than a second";
    if (seconds == 1) return "1 second";
    if (seconds < 60) return fmt::format("{} seconds", seconds);
    if (minutes == 1) return "About a minute";
    if (minutes < 60) return fmt::format("{} minutes", minutes);
    if (hours == 1) return "About an hour";
    if (hours < 48) return fmt::format("{} hours", hours);
    if (days < 14) return fmt::format("{} days", days);
    if (days < 60) return fmt::format("{} weeks", days / 7);
    if (days < 730) return fmt::format("{} months", days / 30);
    return fmt::format("{} years", days / 365);
  };
  return text() + " ago";
}

}  // namespace pullama::client
