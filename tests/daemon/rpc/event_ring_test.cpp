#include "daemon/rpc/event_ring.h"

#include <doctest/doctest.h>

using pullama::rpc::EventRing;

namespace {
EventRing::Entry entry(std::uint64_t seq, std::size_t bytes = 10) {
  return {seq, "j", "job.started", std::make_shared<const std::string>(bytes, 'x')};
}
}  // namespace

TEST_CASE("the ring keeps the newest events, as many as it may") {
  EventRing ring(3, 1000);
  CHECK(ring.find(1) == nullptr);
  for (std::uint64_t seq = 1; seq <= 5; ++seq) ring.push(entry(seq));
  CHECK(ring.find(2) == nullptr);
  REQUIRE(ring.find(3) != nullptr);
  CHECK(ring.find(3)->seq == 3);
  CHECK(ring.find(5)->seq == 5);
  CHECK(ring.find(6) == nullptr);
}

TEST_CASE("long events shorten the ring, and the last one always stays") {
  EventRing ring(100, 1000);
  for (std::uint64_t seq = 1; seq <= 50; ++seq) ring.push(entry(seq, 300));
  CHECK(ring.find(47) == nullptr);
  CHECK(ring.find(48) != nullptr);
  ring.push(entry(51, 5000));
  CHECK(ring.find(50) == nullptr);
  CHECK(ring.find(51) != nullptr);
}

TEST_CASE("for one who is behind the ring keeps more, up to a bound") {
  EventRing ring(3, 1000, 60);
  for (std::uint64_t seq = 1; seq <= 5; ++seq) ring.push(entry(seq, 10), 2);
  CHECK(ring.find(1) == nullptr);
  CHECK(ring.find(2) != nullptr);
  for (std::uint64_t seq = 6; seq <= 10; ++seq) ring.push(entry(seq, 10), 2);
  CHECK(ring.find(4) == nullptr);
  CHECK(ring.find(5) != nullptr);
  ring.push(entry(11, 10));
  CHECK(ring.find(8) == nullptr);
  CHECK(ring.find(9) != nullptr);
}
