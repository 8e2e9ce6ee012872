#include "daemon/upkeep.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <stdexcept>

#include "tests/daemon/jobs_desk.h"

using namespace pullama;
using testing::Loop;

namespace {

struct Fixture {
  Loop loop;
  std::vector<proto::Event> published;
  Upkeep upkeep{{[this](proto::Event event) { published.push_back(std::move(event)); },
                 [this](std::function<void()> work) { loop.post(std::move(work)); }}};

  static UpkeepTask task(std::function<Result<UpkeepSummary>(UpkeepVoice&, std::stop_token)> work,
                         const std::string& key = "k") {
    return {proto::JobKind::kVerify, "m:latest", "/models", key, std::move(work)};
  }
  static Result<UpkeepSummary> until_stopped(UpkeepVoice&, const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait(lock, stop, [] { return false; });
    return fail(ErrorCode::kCancelled, "stopped");
  }
  proto::StartResult start(UpkeepTask wanted) { return upkeep.start(std::move(wanted)).value(); }
  void wait_for_end(const std::string& id) {
    loop.run_until([&] { return proto::is_finished(upkeep.find(id)->state); });
  }
  std::vector<std::string> types() const {
    std::vector<std::string> found;
    for (const proto::Event& event : published) found.emplace_back(event.type());
    return found;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a job tells its story in order, with figures, and is known after its end") {
  const engine::BlobRef blob{Digest::from_bytes({1}), 1000, 1, 1};
  const auto started = start(task([&](UpkeepVoice& voice, const std::stop_token&) {
    voice.expect({blob}, 1000);
    auto& sink = voice.about("m:latest");
    sink.report(engine::BlobVerifying{blob});
    sink.report(engine::BlobProgress{blob, 400, 400, 1000, 5.0, std::nullopt, 0});
    sink.report(engine::Finding{engine::Finding::Kind::kDamaged, blob.digest, {"m:latest"}, "rotten", false});
    return UpkeepSummary{1000, 7, 0, 1, 0};
  }));
  REQUIRE(started.job);
  CHECK_FALSE(started.joined);
  CHECK(upkeep.busy());
  CHECK(upkeep.find(*started.job)->state == proto::JobState::kActive);
  wait_for_end(*started.job);
  CHECK(types() == std::vector<std::string>{"job.queued", "job.started", "blob.verifying", "blob.progress",
                                            "verify.finding", "job.completed"});
  for (const proto::Event& event : published) {
    CHECK(event.job == *started.job);
    CHECK(event.model == "m:latest");
  }
  const auto& progress = std::get<proto::event::BlobProgress>(published[3].body);
  CHECK(progress.job_bytes_done == 400);
  CHECK(progress.job_bytes_total == 1000);
  CHECK(std::get<proto::event::JobCompleted>(published[5].body).fetched_bytes == 7);
  const auto snapshot = upkeep.find(*started.job);
  CHECK(snapshot->state == proto::JobState::kCompleted);
  CHECK(snapshot->bytes_done == 1000);
  CHECK(snapshot->finished.has_value());
  CHECK_FALSE(upkeep.busy());
}

TEST_CASE_FIXTURE(Fixture, "the same task is joined while it runs, another one is not") {
  const auto first = start(task(until_stopped));
  const auto same = start(task(until_stopped));
  const auto other = start(task(until_stopped, "other"));
  CHECK(same.job == first.job);
  CHECK(same.joined);
  CHECK(other.job != first.job);
  proto::JobCounts counts;
  upkeep.count_in(counts);
  CHECK(counts.active == 2);
  bool cancelled = false;
  upkeep.cancel(*first.job, [&](proto::JobState state) { cancelled = state == proto::JobState::kCancelled; });
  // One that is on its way out is not joined any more.
  CHECK(start(task(until_stopped)).job != first.job);
  loop.run_until([&] { return cancelled; });
  CHECK(upkeep.find(*first.job)->state == proto::JobState::kCancelled);
  upkeep.cancel(*first.job, [&](proto::JobState state) { CHECK(state == proto::JobState::kCancelled); });
}

TEST_CASE_FIXTURE(Fixture, "a failure and what is thrown are the job's error") {
  const auto failing = start(task([](UpkeepVoice&, const std::stop_token&) -> Result<UpkeepSummary> {
    return fail(ErrorCode::kNotFound, "no \x1b[31msuch model");
  }));
  wait_for_end(*failing.job);
  CHECK(upkeep.find(*failing.job)->error->code == ErrorCode::kNotFound);
  CHECK(upkeep.find(*failing.job)->error->message.find('\x1b') == std::string::npos);
  const auto throwing = start(task([](UpkeepVoice&, const std::stop_token&) -> Result<UpkeepSummary> {
    throw std::runtime_error("out of threads");
  }));
  wait_for_end(*throwing.job);
  CHECK(upkeep.find(*throwing.job)->state == proto::JobState::kFailed);
  CHECK(upkeep.find(*throwing.job)->error->code == ErrorCode::kInternal);
}

TEST_CASE_FIXTURE(Fixture, "a written manifest says that the store changed") {
  const auto started = start(task([](UpkeepVoice& voice, const std::stop_token&) {
    voice.about("a:latest").report(engine::ManifestWritten{Digest::from_bytes({1})});
    return UpkeepSummary{};
  }));
  wait_for_end(*started.job);
  const auto& changed = std::get<proto::event::StoreChanged>(published[3].body);
  CHECK(changed.models == std::vector<std::string>{"a:latest"});
  CHECK(changed.models_dir == "/models");
}

TEST_CASE_FIXTURE(Fixture, "a shutdown stops all, also what is only asked, and says when nothing runs") {
  const auto job = start(task(until_stopped));
  bool answered = false, done = false;
  upkeep.ask<Result<int>>(
      [](const std::stop_token& stop) {
        while (!stop.stop_requested()) std::this_thread::yield();
        return 7;
      },
      [&](const Result<int>& value) { answered = value == 7; });
  upkeep.shut_down([&] { done = true; });
  CHECK_FALSE(done);
  loop.run_until([&] { return done; });
  CHECK(answered);
  CHECK(upkeep.find(*job.job)->state == proto::JobState::kCancelled);
}

TEST_CASE_FIXTURE(Fixture, "of those that ended only the last few are remembered") {
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) {
    ids.push_back(*start(task([](UpkeepVoice&, const std::stop_token&) { return UpkeepSummary{}; })).job);
    wait_for_end(ids.back());
  }
  CHECK_FALSE(upkeep.find(ids.front()));
  CHECK(upkeep.find(ids.back()));
  std::vector<proto::JobSnapshot> all;
  upkeep.add_to(all);
  CHECK(all.size() == 16);
}

TEST_CASE_FIXTURE(Fixture,
                  "a place's worth of threads run, the others wait for them, can be cancelled, and have an end") {
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < Upkeep::kMaxThreads + 3; ++i) {
    ids.push_back(*start(task(until_stopped, std::to_string(i))).job);
  }
  proto::JobCounts counts;
  upkeep.count_in(counts);
  CHECK(counts.active == Upkeep::kMaxThreads);
  CHECK(counts.queued == 3);
  bool cancelled = false;
  upkeep.cancel(ids.back(), [&](proto::JobState state) { cancelled = state == proto::JobState::kCancelled; });
  CHECK(cancelled);  // at once, it had not begun
  upkeep.cancel(ids.front(), [](proto::JobState) {});
  const std::string& next = ids[Upkeep::kMaxThreads];
  loop.run_until([&] { return upkeep.find(next)->state == proto::JobState::kActive; });
  bool refused = false, done = false;
  upkeep.ask<Result<int>>([](const std::stop_token&) { return 7; },
                          [&](const Result<int>& value) { refused = value.error().code == ErrorCode::kCancelled; });
  upkeep.shut_down([&] { done = true; });
  loop.run_until([&] { return done && refused; });
}

TEST_CASE_FIXTURE(Fixture, "what waits is bounded, and who is refused is told") {
  for (std::size_t i = 0; i < Upkeep::kMaxThreads + Upkeep::kMaxWaiting; ++i) {
    (void)start(task(until_stopped, std::to_string(i)));
  }
  CHECK(upkeep.start(task(until_stopped, "one more")).error().code == ErrorCode::kInvalidArgument);
  CHECK(upkeep.start(task(until_stopped, "0"))->joined);
  bool refused = false;
  upkeep.ask<Result<int>>([](const std::stop_token&) { return 7; },
                          [&](const Result<int>& value) { refused = !value.has_value(); });
  CHECK(refused);
}
