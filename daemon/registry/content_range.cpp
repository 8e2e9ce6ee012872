#include "daemon/registry/content_range.h"

#include "daemon/registry/ascii.h"

namespace pullama::registry {

std::optional<ContentRange> parse_content_range(std::string_view value) {
  value = trim(value);
  if (!starts_ignoring_case(value, "bytes ")) return std::nullopt;
  value = trim(value.substr(6));
  const auto slash = value.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto span = value.substr(0, slash);
  const auto total = value.substr(slash + 1);
  ContentRange range;
  if (total != "*") {
    range.total = parse_digits<std::uint64_t>(total);
    if (!range.total) return std::nullopt;
  }
  if (span == "*") {
    range.satisfied = false;
    return range;
  }
  const auto dash = span.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_digits<std::uint64_t>(span.substr(0, dash));
  const auto last = parse_digits<std::uint64_t>(span.substr(dash + 1));
  if (!first || !last || *last < *first || (range.total && *last >= *range.total)) return std::nullopt;
  range.first = *first;
  range.last = *last;
  return range;
}

std::string content_range_problem(const std::string* value, std::uint64_t first, std::uint64_t last,
                                  std::uint64_t size_bytes) {
  const std::string asked = std::to_string(first) + "-" + std::to_string(last);
  if (value == nullptr) return "a 206 without Content-Range for bytes " + asked;
  const auto range = parse_content_range(*value);
  if (!range || !range->satisfied) return "a 206 whose Content-Range cannot be read for bytes " + asked;
  if (range->first != first || range->last > last) {
    return "bytes " + std::to_string(range->first) + "-" + std::to_string(range->last) + " where " + asked +
           " was asked for";
  }
  if (range->total && *range->total != size_bytes) {
    return "a blob of " + std::to_string(*range->total) + " bytes where the manifest says " +
           std::to_string(size_bytes);
  }
  return {};
}

}  // namespace pullama::registry
