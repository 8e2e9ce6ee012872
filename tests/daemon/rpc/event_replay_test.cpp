// `since`: what a reader that comes back gets from the hub's ring.
#include "tests/daemon/rpc/hub_world.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;

TEST_CASE("who comes back gets exactly what it missed, and no snapshot") {
  Hub world;
  for (int i = 0; i < 20; ++i) world.change("a", proto::JobState::kActive);
  Reader reader(1);
  proto::SubscribeParams params = since(5);
  params.epoch = world.hub.epoch();
  world.subscribe(reader, params);
  CHECK(reader.answered_at == 0);
  CHECK(reader.answer["gap"] == false);
  CHECK(reader.answer["seq"] == 5);
  CHECK(reader.answer["snapshot"].is_null());
  world.change("a", proto::JobState::kPaused);
  CHECK(reader.seqs() == range(6, 21));

  Reader up_to_date(2);
  world.subscribe(up_to_date, since(21));
  CHECK(up_to_date.answer["gap"] == false);
  CHECK(up_to_date.texts.empty());
}

TEST_CASE("what cannot be replayed is a gap with a fresh snapshot") {
  Hub world;
  for (std::size_t i = 0; i < EventHub::kRingEvents + 10; ++i) world.change("a", proto::JobState::kActive);
  const std::uint64_t last = world.hub.seq();
  Reader oldest(1), too_old(2), future(3), other_process(4);
  world.subscribe(oldest, since(10));
  CHECK(oldest.answer["gap"] == false);
  oldest.drain();
  CHECK(oldest.seqs() == range(11, last));
  world.subscribe(too_old, since(9));
  world.subscribe(future, since(last + 1));
  proto::SubscribeParams params = since(last);
  params.epoch = "of-another-process";
  world.subscribe(other_process, params);
  for (const Reader* reader : {&too_old, &future, &other_process}) {
    CHECK(reader->answer["gap"] == true);
    CHECK(reader->answer["seq"] == last);
    CHECK(reader->answer["snapshot"]["jobs"].size() == 1);
    CHECK(reader->texts.empty());
  }
}

TEST_CASE("a replay comes in portions, and what happens meanwhile comes after it") {
  Hub world;
  for (int i = 0; i < 4000; ++i) world.change("a", proto::JobState::kActive);
  Reader reader(1);
  world.subscribe(reader, since(0));
  std::size_t portions = 1;
  while (reader.drained) {
    CHECK(reader.bytes <= 256U << 10);
    reader.bytes = 0;
    world.change("a", proto::JobState::kPaused);
    world.hub.publish(progress("a", 1, 5));
    ++portions;
    std::exchange(reader.drained, nullptr)();
  }
  CHECK(portions > 2);
  CHECK(reader.samples.empty());
  world.change("a", proto::JobState::kActive);
  CHECK(reader.seqs() == range(1, world.hub.seq()));
}

TEST_CASE("a replay that the ring overtakes ends the connection, it never skips") {
  Hub world;
  for (std::size_t i = 0; i < EventHub::kRingEvents; ++i) world.change("a", proto::JobState::kActive);
  Reader reader(1);
  world.subscribe(reader, since(0));
  for (std::size_t bytes = 0; bytes <= EventHub::kBurstBytes; bytes += 1U << 20) {
    world.hub.publish(event("a", proto::event::CheckpointDiscarded{{}, std::string(1U << 20, 'x')}));
  }
  REQUIRE(reader.drained);
  reader.drain();
  CHECK(reader.dropped);
  CHECK(reader.seqs() == range(1, reader.seqs().size()));
}

TEST_CASE("a replay keeps to the filter") {
  Hub world;
  for (const char* job : {"a", "b", "a", "b"}) world.change(job, proto::JobState::kActive);
  Reader reader(1);
  proto::SubscribeParams params = since(1);
  params.jobs = {"a"};
  world.subscribe(reader, params);
  CHECK(reader.seqs() == std::vector<std::uint64_t>{3});
}

TEST_CASE("a filtered reader that comes back with the last number it saw, a sample's too, has lost nothing") {
  Hub world;
  proto::SubscribeParams params;
  params.jobs = {"a"};
  std::uint64_t last = 0;
  {
    Reader before(1);
    world.subscribe(before, params);
    for (const char* job : {"a", "b", "b"}) world.change(job, proto::JobState::kActive);
    world.hub.publish(progress("a", 1, 1));
    CHECK(before.seqs() == std::vector<std::uint64_t>{1});
    REQUIRE(before.samples.size() == 1);
    last = before.samples[0]["seq"];
    CHECK(last == 3);
  }
  for (const char* job : {"a", "b", "a"}) world.change(job, proto::JobState::kPaused);
  Reader after(2);
  params = since(last);
  params.jobs = {"a"};
  world.subscribe(after, params);
  CHECK(after.answer["gap"] == false);
  CHECK(after.seqs() == std::vector<std::uint64_t>{4, 6});
}

TEST_CASE("a second subscription takes the place of the first") {
  Hub world;
  Reader reader(1);
  for (int i = 0; i < 4000; ++i) world.change("a", proto::JobState::kActive);
  world.subscribe(reader, since(0));
  REQUIRE(reader.drained);
  const std::size_t before = reader.texts.size();
  const auto stale_replay = std::exchange(reader.drained, nullptr);
  proto::SubscribeParams params;
  params.types = {"job.paused"};
  world.subscribe(reader, params);
  stale_replay();
  CHECK(reader.texts.size() == before);
  world.change("a", proto::JobState::kActive);
  world.change("a", proto::JobState::kPaused);
  CHECK(reader.texts.size() == before + 1);
  CHECK(world.hub.subscribers() == 1);
}

TEST_CASE("whom a burst overruns reads the rest from the ring, however long, and is not disconnected") {
  Hub world;
  Reader reader(1);
  reader.room = 10'000;
  world.subscribe(reader);
  const std::uint64_t count = 3 * EventHub::kRingEvents;
  for (std::uint64_t i = 0; i < count; ++i) world.change("j1", proto::JobState::kPaused);
  CHECK(reader.bytes <= reader.room);
  reader.drain();
  CHECK(reader.seqs() == range(1, count));
  CHECK_FALSE(reader.dropped);
  world.change("j1", proto::JobState::kActive);  // nobody is behind: the ring is what it was
  Reader late(2);
  world.subscribe(late, since(count - EventHub::kRingEvents - 1));
  CHECK(late.answer["gap"] == true);
}
