#pragma once
// Bytes that look random and are the same at each run.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>

namespace pullama::testing {

inline std::string content(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t at = 0; at < bytes; at += sizeof state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(text.data() + at, &state, std::min(sizeof state, bytes - at));
  }
  return text;
}

}  // namespace pullama::testing
