#pragma once
// The Content-Range header of a 206 or a 416 (registry-protocol.md section 3.5). Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pullama::registry {

struct ContentRange {
  bool satisfied = true;  // false: "bytes */total", of a 416
  std::uint64_t first = 0, last = 0;
  std::optional<std::uint64_t> total;  // nullopt: "*"
};

std::optional<ContentRange> parse_content_range(std::string_view value);

// What is wrong with a 206's Content-Range (nullptr: there was none) when first..last of `size_bytes` was asked for;
// empty where nothing is. It must begin at `first`, may end before `last`, and its total, where given, is the blob's
// size.
std::string content_range_problem(const std::string* value, std::uint64_t first, std::uint64_t last,
                                  std::uint64_t size_bytes);

}  // namespace pullama::registry
