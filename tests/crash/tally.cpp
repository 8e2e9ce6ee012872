#include "tests/crash/tally.h"

#include <fmt/core.h>

namespace pullama::testing {

void Tally::print(const std::string& title, std::uint64_t seed) const {
  fmt::print("{}: power cut at {} points, {} disk states checked, {} recovered to the end, {} cut again (seed {})\n",
             title, points, states, recoveries, second, seed);
}

std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* set = std::getenv("PULLAMA_TEST_SEED");
    return set != nullptr ? std::strtoull(set, nullptr, 10) : std::random_device{}();
  }();
  return seed;
}

}  // namespace pullama::testing
