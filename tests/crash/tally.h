#pragma once
// How much a crash test tried, and what it drew from: printed, so that a run can be repeated and nobody has to believe
// that it crashed anything. PULLAMA_TEST_SEED sets the seed; PULLAMA_TEST_LONG=1 tries everything instead of a sample.

#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/support/io/crash_file_system.h"

namespace pullama::testing {

struct Tally {
  std::uint64_t points = 0;      // operations at or amid which the power went
  std::uint64_t states = 0;      // disks that a cut may have left and that were looked at
  std::uint64_t recoveries = 0;  // of these, followed by a recovery to the end
  std::uint64_t second = 0;      // recoveries that a second cut hit
  // Prints one line.
  void print(const std::string& title, std::uint64_t seed) const;
};

inline bool long_run() {
  const char* value = std::getenv("PULLAMA_TEST_LONG");
  return value != nullptr && std::string(value) == "1";
}

// A new one at each run, unless it was set.
std::uint64_t test_seed();

// Each disk that a cut now may have left: what was synced, all of it, and `random` mixtures.
template <class Check>
void for_each_outcome(const CrashFileSystem& disk, unsigned random, std::mt19937_64& draw, Check check) {
  check(*disk.recover(Survivors::kOnlySynced));
  check(*disk.recover(Survivors::kEverything));
  for (unsigned i = 0; i < random; ++i) check(*disk.recover(Survivors::kRandom, draw()));
}

}  // namespace pullama::testing
