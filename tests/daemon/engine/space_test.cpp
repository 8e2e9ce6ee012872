#include "daemon/engine/space.h"

#include <doctest/doctest.h>

using pullama::engine::kSpaceReserveBytes;
using pullama::engine::SpaceReservations;

TEST_CASE("two jobs do not both count on the same free space") {
  SpaceReservations space;
  auto first = space.open();
  auto second = space.open();
  const std::uint64_t free = kSpaceReserveBytes + 100;
  CHECK(space.try_claim(first, 60, free, false));
  CHECK_FALSE(space.try_claim(second, 60, free, false));
  CHECK(space.try_claim(second, 40, free, false));
  CHECK(space.claimed_by_others(first) == 40);
}

TEST_CASE("a claim shrinks as space is allocated and ends with its job") {
  SpaceReservations space;
  auto second = space.open();
  {
    auto first = space.open();
    CHECK(space.try_claim(first, 100, kSpaceReserveBytes + 100, false));
    first.set(10);
    CHECK(space.try_claim(second, 90, kSpaceReserveBytes + 100, false));
  }
  CHECK(space.try_claim(second, 100, kSpaceReserveBytes + 100, false));
}

TEST_CASE("the reserve stays free unless forced, and nothing needed always fits") {
  SpaceReservations space;
  auto job = space.open();
  CHECK_FALSE(space.try_claim(job, 1, kSpaceReserveBytes, false));
  CHECK(space.try_claim(job, 0, 0, false));
  CHECK(space.try_claim(job, 1, 0, true));
}
