#include "daemon/rpc/event_hub.h"

#include <doctest/doctest.h>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <map>
#include <optional>
#include <random>
#include <set>

#include "proto/methods.h"

using namespace pullama;
using namespace pullama::rpc;
using nlohmann::json;

namespace {

// Takes lines as a session does, without a socket: what it was sent lies in `seen`, parsed.
struct Reader : SessionContext {
  explicit Reader(std::uint64_t number) : number_(number) {}
  ~Reader() override {
    for (const auto& action : close_actions) action();
  }
  std::uint64_t id() const override { return number_; }
  const Peer& peer() const override { return nobody; }
  void on_close(std::function<void()> action) override { close_actions.push_back(std::move(action)); }
  void send(Line line) override {
    bytes += line->size();
    lines.push_back(line);
    texts.push_back(line);
  }
  void send_sample(const std::string& key, Line line) override {
    keys.push_back(key);
    samples.push_back(json::parse(*line)["params"]);
    texts.push_back(line);
  }
  void when_drained(std::function<void()> action) override { drained = std::move(action); }
  void hold_open(bool value) override { held = value; }
  void disconnect() override { dropped = true; }

  Reply reply() {
    return Reply([this](Reply::Outcome outcome) {
      answered_at = texts.size();
      if (outcome) {
        answer = json::parse(*outcome);
      } else {
        refusal = outcome.error();
      }
    });
  }
  std::vector<json> seen() const {
    std::vector<json> all;
    for (const Line& text : texts) all.push_back(json::parse(*text)["params"]);
    return all;
  }
  std::vector<std::uint64_t> seqs() const {
    std::vector<std::uint64_t> all;
    for (const json& event : seen()) {
      if (event["type"] != "blob.progress" && event.contains("seq")) all.push_back(event["seq"]);
    }
    return all;
  }
  void drain() {
    while (drained) {
      bytes = 0;
      std::exchange(drained, nullptr)();
    }
  }

  std::uint64_t number_;
  Peer nobody;
  std::vector<std::function<void()>> close_actions;
  std::function<void()> drained;
  std::vector<Line> texts;  // everything, in order
  std::vector<json> samples;
  std::vector<std::string> keys;
  std::vector<Line> lines;
  std::size_t bytes = 0, answered_at = 0;
  bool held = false, dropped = false;
  json answer;
  std::optional<proto::RpcError> refusal;
};

Digest digest(std::uint8_t byte) {
  Digest::Bytes bytes{};
  bytes[0] = byte;
  return Digest::from_bytes(bytes);
}

proto::Event event(const std::string& job, proto::EventBody body) {
  proto::Event made;
  made.job = job;
  made.model = "llama3.2:latest";
  made.body = std::move(body);
  return made;
}

proto::Event progress(const std::string& job, std::uint8_t blob, std::uint64_t done) {
  proto::event::BlobProgress body;
  body.blob = {digest(blob), 1000, blob, 3};
  body.bytes_done = done;
  return event(job, body);
}

struct Hub {
  boost::asio::io_context io;
  std::chrono::steady_clock::time_point time{std::chrono::hours(1)};  // stands still unless a test moves it
  std::map<std::string, proto::JobState> jobs;                        // the state that events change
  EventHub hub{io, [this] { return snapshot(); }, [this] { return time; }};

  proto::Snapshot snapshot() const {
    proto::Snapshot all;
    for (const auto& [id, state] : jobs) {
      proto::JobSnapshot job;
      job.id = id;
      job.model = "llama3.2:latest";
      job.models_dir = "/models";
      job.state = state;
      all.jobs.push_back(job);
    }
    return all;
  }
  void change(const std::string& job, proto::JobState state) {
    jobs[job] = state;
    if (state == proto::JobState::kPaused) {
      hub.publish(event(job, proto::event::JobPaused{}));
    } else if (state == proto::JobState::kActive) {
      hub.publish(event(job, proto::event::JobResumed{}));
    } else {
      hub.publish(event(job, proto::event::JobCancelled{}));
    }
  }
  void subscribe(Reader& reader, proto::SubscribeParams params = {}) { hub.subscribe(reader, params, reader.reply()); }
  void run_a_pass() {
    io.restart();
    io.run_one();
  }
};

proto::SubscribeParams since(std::uint64_t seq) {
  proto::SubscribeParams params;
  params.since = seq;
  return params;
}

std::vector<std::uint64_t> range(std::uint64_t first, std::uint64_t last) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t seq = first; seq <= last; ++seq) all.push_back(seq);
  return all;
}

}  // namespace

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
  for (std::size_t i = 0; i < EventHub::kRingEvents; ++i) world.change("a", proto::JobState::kActive);
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
