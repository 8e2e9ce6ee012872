// The power is cut before each operation of a write, and everything that the disk may look like afterwards is looked
// at.
#include <doctest/doctest.h>

#include "daemon/io/atomic_write.h"
#include "tests/support/io/crash_file_system.h"

namespace pullama::io {
namespace {

using testing::CrashFileSystem;
using testing::Survivors;

constexpr std::uint64_t kSeeds = 30;

// Checks every disk that a cut now may leave.
template <class Check>
void for_each_outcome(const CrashFileSystem& disk, Check check) {
  check(*disk.recover(Survivors::kOnlySynced));
  check(*disk.recover(Survivors::kEverything));
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    check(*disk.recover(Survivors::kRandom, seed));
  }
}

void check_crashes(const std::string& temporary) {
  const std::string old(9'000, 'o'), fresh(12'000, 'n');
  std::uint64_t cuts = 0;
  bool saw_old = false, saw_new = false;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    CrashFileSystem disk;
    REQUIRE(disk.make_directories("deep"));
    REQUIRE(atomic_write(disk, "deep/state", old, 0600, temporary));
    disk.cut_before(n);
    const auto written = atomic_write(disk, "deep/state", fresh, 0600, temporary);
    CHECK(written.has_value() == !disk.is_off());
    for_each_outcome(disk, [&](CrashFileSystem& after) {
      const auto text = after.read_file("deep/state", 1 << 20);
      REQUIRE(text);
      CHECK((*text == old || *text == fresh));
      if (written) CHECK(*text == fresh);
      (*text == old ? saw_old : saw_new) = true;
      // What the cut left is in nobody's way.
      REQUIRE(atomic_write(after, "deep/state", "next", 0600, temporary));
      CHECK(*after.recover(Survivors::kOnlySynced)->read_file("deep/state", 100) == "next");
      CHECK_FALSE(after.stat(temporary.empty() ? "deep/state.tmp" : temporary));
    });
    if (!disk.is_off()) break;
    ++cuts;
  }
  CHECK(cuts >= 5);
  CHECK(saw_old);
  CHECK(saw_new);
}

TEST_CASE("a power cut at any moment leaves the whole old file or the whole new one") { check_crashes(""); }

TEST_CASE("so it does with the temporary in another folder") { check_crashes(".tmp"); }

}  // namespace
}  // namespace pullama::io
