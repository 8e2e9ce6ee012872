#include "daemon/registry/http_date.h"

#include <algorithm>
#include <array>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

// Cuts the next word at one of `separators`; several in a row count as one.
std::string_view next_word(std::string_view& rest, std::string_view separators) {
  rest.remove_prefix(std::min(rest.find_first_not_of(separators), rest.size()));
  const auto end = std::min(rest.find_first_of(separators), rest.size());
  const auto word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

std::optional<unsigned> month_number(std::string_view name) {
  constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                     "jul", "aug", "sep", "oct", "nov", "dec"};
  for (unsigned i = 0; i < kMonths.size(); ++i) {
    if (equals_ignoring_case(name, kMonths[i])) return i + 1;
  }
  return std::nullopt;
}

std::optional<std::chrono::seconds> time_of_day(std::string_view text) {
  if (text.size() != 8 || text[2] != ':' || text[5] != ':') return std::nullopt;
  const auto hours = parse_digits<unsigned>(text.substr(0, 2));
  const auto minutes = parse_digits<unsigned>(text.substr(3, 2));
  const auto seconds = parse_digits<unsigned>(text.substr(6, 2));
  if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 60) return std::nullopt;
  return std::chrono::hours(*hours) + std::chrono::minutes(*minutes) + std::chrono::seconds(*seconds);
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_http_date(std::string_view value) {
  if (value.size() > 64) return std::nullopt;
  std::string_view rest = trim(value);
  const bool asctime = rest.find(',') == std::string_view::npos;
  next_word(rest, ", ");  // the day's name says nothing new
  std::string_view day, month, year, time;
  if (asctime) {
    month = next_word(rest, " ");
    day = next_word(rest, " ");
    time = next_word(rest, " ");
    year = next_word(rest, " ");
  } else {
    day = next_word(rest, ", -");
    month = next_word(rest, " -");
    year = next_word(rest, " -");
    time = next_word(rest, " ");
    if (next_word(rest, " ") != "GMT") return std::nullopt;
  }
  if (!trim(rest).empty() || day.size() > 2) return std::nullopt;
  const auto d = parse_digits<unsigned>(day);
  const auto m = month_number(month);
  auto y = parse_digits<int>(year);
  const auto t = time_of_day(time);
  if (!d || !m || !y || !t || (year.size() != 4 && year.size() != 2)) return std::nullopt;
  if (year.size() == 2) *y += *y < 70 ? 2000 : 1900;
  const auto date = std::chrono::year(*y) / std::chrono::month(*m) / std::chrono::day(*d);
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + *t;
}

}  // namespace pullama::registry
