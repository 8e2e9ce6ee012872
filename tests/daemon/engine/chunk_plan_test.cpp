#include "daemon/engine/chunk_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using pullama::Digest;
using pullama::engine::ChunkPlan;
using pullama::engine::Claim;
namespace io = pullama::io;

namespace {

std::vector<std::byte> bytes_of(std::uint64_t begin, std::uint64_t count) {
  std::vector<std::byte> bytes(count);
  for (std::uint64_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>((begin + i) * 31 >> 3);
  return bytes;
}

// Receives [begin, end) as a connection would, chunk by chunk.
void receive(ChunkPlan& plan, std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    const auto* chunk = plan.chunk_at(begin);
    const std::uint64_t stop = std::min(end, chunk->end);
    io::Xxh3 state = plan.take_running(begin);
    const auto bytes = bytes_of(begin, stop - begin);
    state.update(bytes);
    plan.commit(begin, stop - begin, state);
    begin = stop;
  }
}

void check_contiguous(const ChunkPlan& plan) {
  std::uint64_t at = 0, received = 0;
  for (const auto& chunk : plan.chunks()) {
    REQUIRE(chunk.start == at);
    REQUIRE(chunk.end > chunk.start);
    REQUIRE(chunk.received <= chunk.end - chunk.start);
    if (chunk.received > 0 && chunk.xxh3) {
      const auto bytes = bytes_of(chunk.start, chunk.received);
      CHECK(*chunk.xxh3 == io::xxh3(bytes));
    }
    received += chunk.received;
    at = chunk.end;
  }
  REQUIRE(at == plan.size_bytes());
  REQUIRE(received == plan.received_bytes());
}

Digest some_digest(char fill) { return *Digest::parse("sha256:" + std::string(64, fill)); }

}  // namespace

TEST_CASE("a fresh plan covers the blob with chunks of the asked size") {
  const auto plan = ChunkPlan::fresh(1000, 300);
  REQUIRE(plan.chunks().size() == 4);
  CHECK(plan.chunks()[3].start == 900);
  CHECK(plan.chunks()[3].end == 1000);
  check_contiguous(plan);
}

TEST_CASE("the chunk size grows until the count of chunks fits a checkpoint") {
  const auto plan = ChunkPlan::fresh(1ULL << 40, 1 << 20);
  CHECK(plan.chunks().size() <= ChunkPlan::kMaxChunks);
  check_contiguous(plan);
}

TEST_CASE("claims are handed out from the front on and never overlap") {
  auto plan = ChunkPlan::fresh(1000, 1000);
  const auto first = plan.claim(1000, 400);
  const auto second = plan.claim(1000, 400);
  const auto third = plan.claim(1000, 400);
  REQUIRE(first);
  REQUIRE(second);
  REQUIRE(third);
  CHECK(first->begin == 0);
  CHECK(first->end == 400);
  CHECK(second->begin == 400);
  CHECK(third->begin == 800);
  CHECK(third->end == 1000);
  CHECK_FALSE(plan.claim(1000, 400));
}

TEST_CASE("one claim spans several small chunks") {
  auto plan = ChunkPlan::fresh(1000, 100);
  const auto claim = plan.claim(1000, 350);
  REQUIRE(claim);
  CHECK(claim->begin == 0);
  CHECK(claim->end == 350);
  receive(plan, 0, 350);
  check_contiguous(plan);
}

TEST_CASE("nothing past the limit is claimed") {
  auto plan = ChunkPlan::fresh(1000, 100);
  REQUIRE(plan.claim(150, 100));
  REQUIRE(plan.claim(150, 100));
  CHECK_FALSE(plan.claim(150, 100));
  CHECK_FALSE(plan.anything_unclaimed(150));
  CHECK(plan.anything_unclaimed(500));
}

TEST_CASE("a connection that goes on with the neighbour makes the two chunks one again") {
  auto plan = ChunkPlan::fresh(1000, 1000);
  const auto first = plan.claim(1000, 300);
  receive(plan, first->begin, first->end);
  const auto second = plan.claim(1000, 300, first->end);
  REQUIRE(second);
  CHECK(second->begin == 300);
  CHECK(plan.chunks()[0].end == 600);
  receive(plan, second->begin, second->end);
  check_contiguous(plan);
}

TEST_CASE("what a connection leaves is finished by another with one running XXH3") {
  auto plan = ChunkPlan::fresh(1000, 1000);
  const auto claim = plan.claim(1000, 1000);
  io::Xxh3 state = plan.take_running(0);
  const auto head = bytes_of(0, 250);
  state.update(head);
  plan.commit(0, 250, state);
  plan.release(*claim, 250, state);
  const auto rest = plan.claim(1000, 1000);
  REQUIRE(rest);
  CHECK(rest->begin == 250);
  receive(plan, 250, 1000);
  CHECK(plan.chunks().size() == 1);
  check_contiguous(plan);
}

TEST_CASE("a chunk whose running state is lost is split where its bytes end") {
  auto plan = ChunkPlan::fresh(1000, 1000);
  const auto claim = plan.claim(1000, 1000);
  receive(plan, 0, 250);
  static_cast<void>(plan.take_running(250));
  plan.release(*claim, 250, std::nullopt);
  const auto rest = plan.claim(1000, 1000);
  REQUIRE(rest);
  CHECK(rest->begin == 250);
  receive(plan, 250, 1000);
  check_contiguous(plan);
}

TEST_CASE("the second half of a claim can be given to another connection") {
  auto plan = ChunkPlan::fresh(1000, 100);
  const auto claim = plan.claim(1000, 1000);
  REQUIRE(claim->end == 1000);
  receive(plan, 0, 30);
  plan.split(550, 1000);
  const auto stolen = plan.claim(1000, 1000);
  REQUIRE(stolen);
  CHECK(stolen->begin == 550);
  CHECK(stolen->end == 1000);
  check_contiguous(plan);
}

TEST_CASE("the front goes on only over bytes that are received and checked") {
  auto plan = ChunkPlan::fresh(400, 100);
  CHECK(plan.ready_end(0) == 0);
  plan.claim(400, 400);
  receive(plan, 100, 200);
  CHECK(plan.ready_end(0) == 0);
  receive(plan, 0, 50);
  CHECK(plan.ready_end(0) == 50);
  receive(plan, 50, 100);
  CHECK(plan.ready_end(0) == 200);
  CHECK(plan.ready_end(130) == 200);
}

TEST_CASE("the front waits for the digest of a chunk that has one") {
  std::vector<ChunkPlan::Group> groups{{0, 200, some_digest('a'), false, 0}, {200, 400, some_digest('b'), false, 0}};
  auto plan = ChunkPlan::with_groups(400, std::move(groups));
  const auto first = plan.claim(400, 100);
  const auto second = plan.claim(400, 100);
  io::Xxh3 a = plan.take_running(first->begin);
  const auto head = bytes_of(0, 100);
  a.update(head);
  CHECK_FALSE(plan.commit(0, 100, a));
  io::Xxh3 b = plan.take_running(second->begin);
  const auto tail = bytes_of(100, 100);
  b.update(tail);
  const auto whole = plan.commit(100, 100, b);
  REQUIRE(whole);
  CHECK(*whole == 0);
  CHECK(plan.ready_end(0) == 0);
  SUBCASE("right") {
    plan.group_verified(0);
    CHECK(plan.ready_end(0) == 200);
  }
  SUBCASE("wrong: only that chunk is fetched again") {
    plan.group_mismatch(0);
    CHECK(plan.received_bytes() == 0);
    CHECK(plan.first_missing() == 0);
    const auto again = plan.claim(400, 400);
    REQUIRE(again);
    CHECK(again->begin == 0);
  }
  SUBCASE("given up: what is there stays") {
    plan.drop_groups();
    CHECK(plan.received_bytes() == 200);
    CHECK(plan.ready_end(0) == 200);
  }
}

TEST_CASE("a claim never crosses into bytes that another has") {
  std::mt19937_64 random(20261121);
  for (int round = 0; round < 100; ++round) {
    const std::uint64_t size = 1 + random() % 5000;
    auto plan = ChunkPlan::fresh(size, 1 + random() % 700);
    std::vector<int> times(size, 0);
    std::vector<Claim> open;
    std::optional<std::uint64_t> previous;
    while (!plan.all_received()) {
      if (open.size() < 5) {
        if (auto claim = plan.claim(size, 1 + random() % 900, random() % 2 == 0 ? previous : std::nullopt)) {
          previous = claim->end;
          open.push_back(*claim);
        }
      }
      REQUIRE_FALSE(open.empty());
      const std::size_t pick = random() % open.size();
      Claim& claim = open[pick];
      const std::uint64_t take = std::min(claim.bytes(), 1 + random() % 400);
      for (std::uint64_t i = 0; i < take; ++i) ++times[claim.begin + i];
      // Chunk by chunk, giving the state back where the chunk is not complete.
      std::uint64_t at = claim.begin;
      const std::uint64_t end = claim.begin + take;
      while (at < end) {
        const auto* chunk = plan.chunk_at(at);
        REQUIRE(chunk->next() == at);
        const std::uint64_t stop = std::min(end, chunk->end);
        io::Xxh3 state = plan.take_running(at);
        const auto bytes = bytes_of(at, stop - at);
        state.update(bytes);
        plan.commit(at, stop - at, state);
        at = stop;
        if (at == end) plan.release(claim, at, state);
      }
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(pick));
      check_contiguous(plan);
    }
    REQUIRE(std::all_of(times.begin(), times.end(), [](int count) { return count == 1; }));
  }
}

TEST_CASE("a restored plan splits what is half there, so that the rest can be claimed at once") {
  std::vector<ChunkPlan::Chunk> chunks(2);
  chunks[0].end = 100;
  chunks[0].received = 40;
  chunks[0].xxh3 = io::xxh3(bytes_of(0, 40));
  chunks[0].checked = false;
  chunks[1].start = 100;
  chunks[1].end = 200;
  auto plan = ChunkPlan::restored(200, 100, std::move(chunks), {});
  CHECK(plan.received_bytes() == 40);
  const auto claim = plan.claim(200, 1000);
  REQUIRE(claim);
  CHECK(claim->begin == 40);
  CHECK(claim->end == 200);
  CHECK(plan.ready_end(0) == 0);
  plan.mark_checked(0, io::xxh3(bytes_of(0, 40)));
  CHECK(plan.ready_end(0) == 40);
}

TEST_CASE("neighbours are merged only within a cell, complete and checked") {
  auto plan = ChunkPlan::fresh(1000, 500);
  for (int i = 0; i < 10; ++i) {
    const auto claim = plan.claim(1000, 100);
    receive(plan, claim->begin, claim->end);
  }
  CHECK(plan.chunks().size() == 10);
  CHECK_FALSE(plan.mergeable(150));
  const auto range = plan.mergeable(1000);
  REQUIRE(range);
  CHECK(range->begin == 0);
  CHECK(range->end == 500);
  plan.merge(*range, io::xxh3(bytes_of(0, 500)));
  check_contiguous(plan);
  CHECK(plan.chunks().size() == 6);
}

TEST_CASE("a rotten chunk is missing again") {
  auto plan = ChunkPlan::fresh(300, 100);
  plan.claim(300, 300);
  receive(plan, 0, 300);
  plan.discard(100);
  CHECK(plan.received_bytes() == 200);
  CHECK(plan.first_missing() == 100);
  const auto claim = plan.claim(300, 300);
  REQUIRE(claim);
  CHECK(claim->begin == 100);
  CHECK(claim->end == 200);
}

TEST_CASE("a whole body covers everything from the first missing byte") {
  auto plan = ChunkPlan::fresh(300, 100);
  plan.claim(300, 100);
  receive(plan, 0, 100);
  const auto rest = plan.claim_rest();
  REQUIRE(rest);
  CHECK(rest->begin == 100);
  CHECK(rest->end == 300);
  CHECK_FALSE(plan.claim(300, 100));
}

TEST_CASE("who gives back a claim that somebody else has by now takes nothing from him") {
  std::vector<ChunkPlan::Group> groups{{0, 200, some_digest('a'), false, 0}};
  auto plan = ChunkPlan::with_groups(200, std::move(groups));
  const auto first = plan.claim(200, 200);
  receive(plan, 0, 200);
  plan.group_mismatch(0);
  const auto second = plan.claim(200, 200);
  REQUIRE(second);
  plan.release(*first, 200, std::nullopt);
  CHECK_FALSE(plan.claim(200, 200));
}
