#include "daemon/rpc/event_hub.h"

#include <deque>
#include <random>
#include <set>

#include "proto/methods.h"
#include "tests/daemon/rpc/hub_world.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;

TEST_CASE("promise 1: whoever subscribes when, snapshot and later events tell one story") {
  Hub world;
  std::mt19937 random(7);
  const proto::JobState states[] = {proto::JobState::kPaused, proto::JobState::kActive, proto::JobState::kCancelled};
  std::vector<std::unique_ptr<Reader>> readers;
  for (std::uint64_t step = 0; step < 150; ++step) {
    world.change("job" + std::to_string(random() % 5), states[random() % 3]);
    if (random() % 3 == 0) {
      readers.push_back(std::make_unique<Reader>(step + 1));
      world.subscribe(*readers.back());
    }
  }
  const std::map<std::string, std::string> state_after = {
      {"job.paused", "paused"}, {"job.resumed", "active"}, {"job.cancelled", "cancelled"}};
  std::map<std::string, std::string> truth;
  for (const auto& [id, state] : world.jobs) truth[id] = std::string(proto::name_of(state));
  for (const auto& reader : readers) {
    std::map<std::string, std::string> story;
    for (const json& job : reader->answer["snapshot"]["jobs"]) story[job["id"]] = job["state"];
    std::uint64_t seq = reader->answer["seq"];
    for (const json& seen : reader->seen()) {
      CHECK(seen["seq"] == ++seq);
      story[seen["job"]] = state_after.at(seen["type"]);
    }
    CHECK(seq == world.hub.seq());
    CHECK(story == truth);
    CHECK(reader->answer["snapshot"]["epoch"] == world.hub.epoch());
    CHECK(reader->answer["gap"] == false);
  }
  CHECK(readers.size() > 30);
}

TEST_CASE("promise 2: every state change arrives in order, once, and the text is shared") {
  Hub world;
  Reader one(1), two(2);
  world.subscribe(one);
  world.subscribe(two);
  for (int i = 0; i < 1000; ++i) world.hub.publish(event("j", proto::event::JobPaused{}));
  CHECK(one.seqs() == range(1, 1000));
  CHECK(two.seqs() == range(1, 1000));
  for (std::size_t i = 0; i < one.lines.size(); ++i) CHECK(one.lines[i] == two.lines[i]);
}

TEST_CASE("for a crowd, state changes that follow one another closely go out together, in order, once") {
  using std::chrono::milliseconds;
  CHECK(EventHub::gather_interval(1) == milliseconds(0));
  CHECK(EventHub::gather_interval(49) == milliseconds(0));
  CHECK(EventHub::gather_interval(500) == milliseconds(10));
  CHECK(EventHub::gather_interval(5000) == milliseconds(12));
  Hub world;
  std::deque<Reader> crowd;
  for (std::uint64_t id = 1; id <= 500; ++id) world.subscribe(crowd.emplace_back(id));
  world.change("a", proto::JobState::kActive);
  CHECK(crowd.front().seqs() == range(1, 1));  // the first at once
  world.change("a", proto::JobState::kPaused);
  world.change("a", proto::JobState::kActive);
  CHECK(crowd.back().seqs() == range(1, 1));
  world.run_a_pass();  // the timer
  CHECK(crowd.front().seqs() == range(1, 3));

  // Whoever comes while some wait gets them in its snapshot, and the others before anything that comes after.
  world.change("a", proto::JobState::kPaused);
  Reader late(501);
  world.subscribe(late);
  CHECK(late.answer["seq"] == 4);
  CHECK(crowd.back().seqs() == range(1, 4));
  world.change("a", proto::JobState::kActive);
  Reader back(502);
  world.subscribe(back, since(2));
  CHECK(back.seqs() == range(3, 5));
  world.change("a", proto::JobState::kPaused);
  world.time += EventHub::pass_interval(502);
  world.hub.publish(progress("a", 1, 1));
  CHECK(crowd.front().seqs() == range(1, 6));
  CHECK(crowd.front().samples.back()["seq"] == 6);
  world.change("a", proto::JobState::kActive);
  world.hub.unsubscribe(late);
  CHECK(late.seqs() == range(5, 7));
  CHECK(back.seqs() == range(3, 7));
  for (const Reader& reader : crowd) CHECK(reader.seqs() == range(1, 7));
  for (int i = 0; i < 200; ++i) world.change("a", proto::JobState::kActive);
  CHECK(crowd.front().seqs().size() >= 7 + 128);  // no more than some wait
}

TEST_CASE("an event carries what the hub adds") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(event("j", proto::event::BlobStarted{{digest(1), 10, 1, 2}}));
  REQUIRE(reader.texts.size() == 1);
  CHECK(reader.seen()[0]["type"] == "blob.started");
  CHECK(reader.seen()[0]["job"] == "j");
  CHECK(reader.seen()[0]["time"].get<std::string>().size() == 24);
  CHECK(reader.lines[0]->back() == '\n');
}

TEST_CASE("of a thousand samples in one moment one is sent, then one a pass, the newest") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(event("j", proto::event::BlobStarted{{digest(1), 1000, 1, 3}}));
  for (std::uint64_t done = 1; done <= 1000; ++done) world.hub.publish(progress("j", 1, done));
  REQUIRE(reader.samples.size() == 1);
  CHECK(reader.samples[0]["bytes_done"] == 1);
  world.run_a_pass();
  REQUIRE(reader.samples.size() == 2);
  CHECK(reader.samples[1]["bytes_done"] == 1000);
  CHECK(reader.keys[0] == reader.keys[1]);
}

TEST_CASE("a job has one sample a pass, however many blobs it has in flight, and each blob its turn") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(progress("j", 1, 1));
  for (std::uint8_t blob = 1; blob <= 3; ++blob) world.hub.publish(progress("j", blob, 50));
  world.hub.publish(progress("other", 1, 7));
  for (std::size_t pass = 0; pass < 3; ++pass) world.run_a_pass();
  std::map<std::string, int> by_job;
  for (const json& sample : reader.samples) ++by_job[sample["job"]];
  CHECK(by_job["j"] == 4);
  CHECK(by_job["other"] == 1);
  std::set<std::string> blobs;
  for (const json& sample : reader.samples) {
    if (sample["job"] == "j") blobs.insert(sample["digest"]);
  }
  CHECK(blobs.size() == 3);
}

TEST_CASE("a sample carries the seq of the state change before it") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(progress("j", 1, 1));
  world.hub.publish(progress("j", 1, 2));
  world.hub.publish(event("other", proto::event::JobPaused{}));
  world.hub.publish(event("other", proto::event::JobResumed{}));
  world.run_a_pass();
  REQUIRE(reader.samples.size() == 2);
  CHECK(reader.samples[0]["seq"] == 0);
  CHECK(reader.samples[1]["seq"] == 2);
  CHECK(reader.seqs() == range(1, 2));
}

TEST_CASE("a sample that waits is forgotten when its blob or job has moved on") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(progress("j", 1, 1));
  SUBCASE("the blob was verified") {
    world.hub.publish(progress("j", 1, 99));
    world.hub.publish(event("j", proto::event::BlobVerified{{digest(1), 1000, 1, 3}, {}}));
  }
  SUBCASE("a retry names the blob") {
    world.hub.publish(progress("j", 1, 99));
    proto::event::Retry retry;
    retry.blob = proto::BlobRef{digest(1), 1000, 1, 3};
    world.hub.publish(event("j", retry));
  }
  SUBCASE("the job ended") {
    world.hub.publish(progress("j", 1, 99));
    world.hub.publish(event("j", proto::event::JobCancelled{}));
  }
  world.run_a_pass();
  CHECK(reader.samples.size() == 1);
}

TEST_CASE("once the pause is over the next sample goes out at once") {
  Hub world;
  Reader reader(1);
  world.subscribe(reader);
  world.hub.publish(progress("j", 1, 1));
  world.time += std::chrono::milliseconds(100);
  world.hub.publish(progress("j", 1, 2));
  CHECK(reader.samples.size() == 2);
  world.time += std::chrono::milliseconds(99);
  world.hub.publish(progress("j", 1, 3));
  CHECK(reader.samples.size() == 2);
}

TEST_CASE("passes come ten times a second, more seldom for many readers, at least once a second") {
  using std::chrono::milliseconds;
  CHECK(EventHub::pass_interval(0) == milliseconds(100));
  CHECK(EventHub::pass_interval(100) == milliseconds(100));
  CHECK(EventHub::pass_interval(500) == milliseconds(500));
  CHECK(EventHub::pass_interval(1024) == milliseconds(1000));
}

TEST_CASE("trace goes only to those who asked, without a seq") {
  Hub world;
  Reader plain(1), curious(2);
  world.subscribe(plain);
  CHECK_FALSE(world.hub.wants_trace());
  proto::SubscribeParams params;
  params.trace = true;
  world.subscribe(curious, params);
  CHECK(world.hub.wants_trace());
  world.hub.publish(event("j", proto::event::CheckpointSaved{{digest(1), 1000, 1, 3}, 5}));
  CHECK(plain.texts.empty());
  REQUIRE(curious.samples.size() == 1);
  CHECK_FALSE(curious.samples[0].contains("seq"));
  CHECK(curious.keys[0].empty());
  CHECK(world.hub.seq() == 0);
}

TEST_CASE("filters let through what they name") {
  Hub world;
  Reader by_job(1), by_type(2), both(3);
  proto::SubscribeParams params;
  params.jobs = {"a", "b"};
  world.subscribe(by_job, params);
  params.types = {"job.paused"};
  world.subscribe(both, params);
  params.jobs.clear();
  world.subscribe(by_type, params);
  for (const char* job : {"a", "c", ""}) {
    world.hub.publish(event(job, proto::event::JobPaused{}));
    world.hub.publish(event(job, proto::event::JobResumed{}));
  }
  world.hub.publish(progress("c", 1, 1));
  CHECK(by_job.seqs() == std::vector<std::uint64_t>{1, 2});
  CHECK(both.seqs() == std::vector<std::uint64_t>{1});
  CHECK(by_type.seqs() == std::vector<std::uint64_t>{1, 3, 5});
  CHECK(by_job.samples.empty());
  CHECK(by_type.samples.empty());
}

TEST_CASE("a snapshot holds the jobs that were asked for") {
  Hub world;
  world.change("a", proto::JobState::kActive);
  world.change("b", proto::JobState::kPaused);
  Reader all(1), one(2);
  world.subscribe(all);
  CHECK(all.answer["snapshot"]["jobs"].size() == 2);
  proto::SubscribeParams params;
  params.jobs = {"b"};
  world.subscribe(one, params);
  REQUIRE(one.answer["snapshot"]["jobs"].size() == 1);
  CHECK(one.answer["snapshot"]["jobs"][0]["id"] == "b");
}

TEST_CASE("an unknown event type is refused and nothing is subscribed") {
  Hub world;
  Reader reader(1);
  proto::SubscribeParams params;
  params.types = {"job.started", "job.strated"};
  world.subscribe(reader, params);
  REQUIRE(reader.refusal.has_value());
  CHECK(reader.refusal->number == proto::kInvalidParams);
  CHECK(reader.refusal->error.message.find("job.strated") != std::string::npos);
  CHECK(world.hub.subscribers() == 0);
}

TEST_CASE("whoever unsubscribes or goes gets nothing more and is not counted") {
  Hub world;
  Reader stays(1);
  world.subscribe(stays);
  CHECK(stays.held);
  {
    Reader goes(2);
    proto::SubscribeParams params;
    params.jobs = {"a"};
    world.subscribe(goes, params);
    CHECK(world.hub.watchers("a") == 2);
    CHECK(world.hub.watchers("a", &stays) == 1);
    CHECK(world.hub.watchers("b") == 1);
  }
  CHECK(world.hub.subscribers() == 1);
  world.hub.unsubscribe(stays);
  world.hub.unsubscribe(stays);
  CHECK_FALSE(stays.held);
  CHECK(world.hub.subscribers() == 0);
  world.change("a", proto::JobState::kActive);
  world.hub.publish(progress("a", 1, 1));
  CHECK(stays.texts.empty());
  for (int i = 0; i < 10; ++i) {
    world.subscribe(stays);
    world.hub.unsubscribe(stays);
  }
  CHECK(stays.close_actions.size() == 1);
}

TEST_CASE("the methods of the protocol subscribe and unsubscribe") {
  Hub world;
  Dispatcher dispatcher;
  world.hub.add_methods(dispatcher);
  Reader reader(1);
  dispatcher.dispatch(std::string(proto::method::kEventsSubscribe), R"({"jobs":["a"]})", reader, reader.reply());
  CHECK(world.hub.subscribers() == 1);
  dispatcher.dispatch(std::string(proto::method::kEventsUnsubscribe), "{}", reader, reader.reply());
  CHECK(world.hub.subscribers() == 0);
}

TEST_CASE("each process has an epoch of its own") {
  const Hub one, two;
  CHECK(one.hub.epoch() != two.hub.epoch());
  CHECK(one.hub.epoch().size() == 16);
}
