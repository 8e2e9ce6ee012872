#include "daemon/jobs.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/daemon/jobs_desk.h"

using namespace pullama;
using namespace pullama::testing;
using queue::JobState;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a pull is answered only once the queue file has it, then runs and completes") {
  Desk desk;
  bool answered = false;
  desk.jobs->start({queue::JobKind::kPull, ModelName::parse("m").value(), "/models", "{}"}, 1,
                   [&](const Result<Jobs::Accepted>& accepted) {
                     answered = true;
                     CHECK(accepted->id == "j1");
                     CHECK_FALSE(accepted->joined);
                     REQUIRE(desk.saved.direct.size() == 1);
                   });
  CHECK_FALSE(answered);
  CHECK(desk.transfers.runs("j1") == 0);
  desk.loop.run_until([&] { return answered; });
  desk.wait_for_runs("j1", 1);
  CHECK(desk.state("j1") == JobState::kActive);
  desk.transfers.end("j1", summary(4321));
  desk.wait_for("j1", JobState::kCompleted);
  const auto events = desk.events();
  CHECK(events == std::vector<std::string>{"job.queued j1", "job.started j1", "job.completed j1", "store.changed"});
  CHECK(std::get<proto::event::JobCompleted>(last(desk, "job.completed")->body).total_bytes == 4321);
  CHECK(desk.saved.direct.at(0)->state == JobState::kCompleted);
  REQUIRE(desk.history.size() == 1);
  CHECK(desk.history[0].result == "completed");
  CHECK(desk.history[0].job == "j1");
  CHECK(desk.finished == std::vector<std::string>{"m:latest completed"});
}

TEST_CASE("a pull that cannot be made durable is refused and leaves nothing") {
  Desk desk;
  desk.save_error = disk_full();
  const auto refused = desk.pull("m");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kDiskFull);
  CHECK(desk.jobs->queue().direct().empty());
  CHECK(desk.transfers.runs("j1") == 0);
  CHECK_FALSE(desk.jobs->busy());
}

TEST_CASE("a second pull of the same model joins the first") {
  Desk desk;
  REQUIRE(desk.pull("m").has_value());
  desk.wait_for_runs("j1", 1);
  const auto second = desk.pull("M:latest", 2);
  CHECK(second->id == "j1");
  CHECK(second->joined);
  CHECK(desk.jobs->waits_for(1, "j1"));
  CHECK(desk.jobs->waits_for(2, "j1"));
  CHECK(desk.transfers.runs("j1") == 1);
}

TEST_CASE("who joins a job just when somebody else cancels it gets one of their own") {
  Desk desk;
  desk.start("m");
  REQUIRE(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
  std::optional<Result<Jobs::Accepted>> accepted;
  desk.jobs->start({queue::JobKind::kPull, ModelName::parse("m").value(), "/models", "{}"}, 2,
                   [&](Result<Jobs::Accepted> answer) { accepted = std::move(answer); });
  desk.jobs->cancel("j1", [](const Result<JobState>& state) { CHECK(state == JobState::kCancelled); });
  desk.loop.run_until([&] { return accepted.has_value(); });
  REQUIRE(accepted->has_value());
  CHECK((*accepted)->id == "j2");
  CHECK_FALSE((*accepted)->joined);
  desk.wait_for_runs("j2", 1);
}

TEST_CASE("out of retries: a pull that a client waits for fails, resumable") {
  Desk desk;
  desk.start("m");
  desk.transfers.end("j1", fail(network()));
  desk.wait_for("j1", JobState::kFailed);
  CHECK(std::get<proto::event::JobFailed>(last(desk, "job.failed")->body).error.code == ErrorCode::kNetwork);
  CHECK(desk.jobs->queue().find("j1")->error->message == network().message);
  CHECK(desk.history.at(0).result == "failed");
  CHECK(desk.finished == std::vector<std::string>{"m:latest failed"});
}

TEST_CASE("out of retries: one that nobody waits for is tried again, at least every 120 seconds, without limit") {
  for (const bool detached : {true, false}) {
    Desk desk;
    desk.start("m", detached ? std::nullopt : std::optional<std::uint64_t>(7));
    if (!detached) desk.jobs->detach(7);  // the client died
    std::vector<milliseconds> pauses;
    for (int run = 1; run <= 8; ++run) {
      desk.wait_for_runs("j1", run);
      desk.transfers.end("j1", fail(network()));
      desk.wait_for("j1", JobState::kWaitingNetwork);
      CHECK(desk.jobs->busy());
      const auto fired = desk.fire_timers();
      REQUIRE(fired.size() == 1);
      pauses.push_back(fired[0]);
      CHECK(desk.state("j1") == JobState::kActive);
    }
    CHECK(pauses.front() == seconds(10));
    CHECK(pauses.back() == seconds(120));
    CHECK(std::is_sorted(pauses.begin(), pauses.end()));
    CHECK(std::get<proto::event::JobWaiting>(last(desk, "job.waiting")->body).until.has_value());
  }
}

TEST_CASE("a run that gained bytes waits the short time again") {
  Desk desk;
  desk.start("m", std::nullopt);
  const engine::BlobRef blob{Digest::from_bytes({1}), 1000, 1, 1};
  for (int run = 1; run <= 3; ++run) {
    desk.wait_for_runs("j1", run);
    desk.transfers.report("j1", engine::ManifestFetched{Digest::from_bytes({2}), 1, 1000, {blob}});
    desk.transfers.report("j1",
                          engine::BlobProgress{blob, static_cast<std::uint64_t>(run) * 10, 0, 0, 5.0, std::nullopt, 1});
    desk.transfers.end("j1", fail(network()));
    desk.wait_for("j1", JobState::kWaitingNetwork);
    CHECK(desk.fire_timers() == std::vector<milliseconds>{seconds(10)});
  }
  CHECK(desk.jobs->show(*desk.jobs->queue().find("j1")).bytes_done == 30);
}

TEST_CASE("a full disk: the client is told, the job goes on by itself once there is room") {
  Desk desk;
  desk.start("m");
  desk.transfers.free = 0;
  const engine::BlobRef blob{Digest::from_bytes({1}), 1000, 1, 1};
  desk.transfers.report("j1", engine::ManifestFetched{Digest::from_bytes({2}), 1, 1000, {blob}});
  desk.transfers.end("j1", fail(disk_full()));
  desk.wait_for("j1", JobState::kWaitingSpace);
  const auto& waiting = std::get<proto::event::JobWaiting>(last(desk, "job.waiting")->body);
  CHECK(waiting.state == proto::JobState::kWaitingSpace);
  CHECK(waiting.error->code == ErrorCode::kDiskFull);
  for (int i = 0; i < 3; ++i) {
    CHECK(desk.fire_timers().size() == 1);
    CHECK(desk.state("j1") == JobState::kWaitingSpace);
  }
  desk.transfers.free = (64ULL << 20) + 1000;
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kActive);
  desk.transfers.end("j1", summary());
  desk.wait_for("j1", JobState::kCompleted);
}

TEST_CASE("without a known size, clearly more room than before is tried") {
  Desk desk;
  desk.start("m", std::nullopt);
  desk.transfers.free = 100ULL << 20;
  desk.transfers.end("j1", fail(disk_full()));
  desk.wait_for("j1", JobState::kWaitingSpace);
  desk.fire_timers();
  desk.transfers.free = 120ULL << 20;
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kWaitingSpace);
  desk.transfers.free = 164ULL << 20;
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kActive);
}

TEST_CASE("a disk that was full has room again for what is allocated already, however much is missing") {
  Desk desk;
  desk.start("m");
  desk.transfers.free = 0;
  const engine::BlobRef blob{Digest::from_bytes({1}), 1ULL << 40, 1, 1};
  desk.transfers.report("j1", engine::ManifestFetched{Digest::from_bytes({2}), 1, 1ULL << 40, {blob}});
  desk.transfers.end("j1", fail(disk_full()));
  desk.wait_for("j1", JobState::kWaitingSpace);
  desk.loop.run_pending();
  desk.transfers.free = 64ULL << 20;  // before the first look
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kActive);
}

TEST_CASE("what is final fails at once, whoever waits") {
  for (const ErrorCode code : {ErrorCode::kNotFound, ErrorCode::kAuthFailed, ErrorCode::kCorrupt, ErrorCode::kLocked}) {
    Desk desk;
    desk.start("m", std::nullopt);
    desk.transfers.end("j1", fail(code, "no"));
    desk.wait_for("j1", JobState::kFailed);
    CHECK_FALSE(desk.jobs->busy());
  }
}

TEST_CASE("pause answers when the transfer has stopped, resume starts it again, both may be repeated") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
  CHECK(desk.saved.direct.at(0)->state == JobState::kPaused);
  CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
  CHECK_FALSE(desk.jobs->busy());
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kActive);
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kActive);
  desk.wait_for_runs("j1", 2);
  CHECK(desk.transfers.runs("j1") == 2);
  const auto events = desk.events();
  CHECK(std::count(events.begin(), events.end(), "job.paused j1") == 1);
  CHECK(std::count(events.begin(), events.end(), "job.resumed j1") == 1);
  CHECK(std::vector(events.end() - 2, events.end()) == std::vector<std::string>{"job.resumed j1", "job.started j1"});
}

TEST_CASE("cancel answers when the transfer has stopped and may be repeated; the same model can be pulled again") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  CHECK(desk.ask(&Jobs::cancel, "j1") == JobState::kCancelled);
  CHECK(desk.ask(&Jobs::cancel, "j1") == JobState::kCancelled);
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kCancelled);
  CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kCancelled);
  CHECK(desk.history.at(0).result == "cancelled");
  const auto again = desk.pull("m");
  CHECK(again->id == "j2");
  CHECK_FALSE(again->joined);
}

TEST_CASE("a cancel outranks a pause that is under way") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  std::vector<JobState> answers;
  const auto note = [&](const Result<JobState>& state) { answers.push_back(*state); };
  desk.jobs->pause("j1", note);
  desk.jobs->cancel("j1", note);
  desk.jobs->pause("j1", note);
  desk.loop.run_until([&] { return answers.size() == 3; });
  CHECK(answers == std::vector<JobState>(3, JobState::kCancelled));
}

TEST_CASE("a resume while it is being paused starts it again") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  std::optional<JobState> paused;
  desk.jobs->pause("j1", [&](const Result<JobState>& state) { paused = *state; });
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kActive);
  desk.loop.run_until([&] { return paused.has_value(); });
  CHECK(paused == JobState::kActive);
  desk.wait_for_runs("j1", 2);
}

TEST_CASE("a transfer that completes while it is being stopped is completed") {
  Desk desk;
  desk.transfers.hangs_on_stop = true;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  std::optional<JobState> state;
  desk.jobs->cancel("j1", [&](const Result<JobState>& answer) { state = *answer; });
  desk.transfers.end("j1", summary());
  desk.loop.run_until([&] { return state.has_value(); });
  CHECK(state == JobState::kCompleted);
  CHECK(desk.ask(&Jobs::cancel, "j1") == JobState::kCompleted);
}

TEST_CASE("a waiting job is paused, resumed and cancelled without a timer coming between") {
  Desk desk;
  desk.start("m", std::nullopt);
  desk.transfers.end("j1", fail(network()));
  desk.wait_for("j1", JobState::kWaitingNetwork);
  CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kPaused);
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kActive);
  desk.transfers.end("j1", fail(network()));
  desk.wait_for("j1", JobState::kWaitingNetwork);
  CHECK(desk.ask(&Jobs::cancel, "j1") == JobState::kCancelled);
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kCancelled);
}

TEST_CASE("a pull of a paused model goes on with it") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  CHECK(desk.ask(&Jobs::pause, "j1").has_value());
  const auto joined = desk.pull("m");
  CHECK(joined->joined);
  CHECK(desk.state("j1") == JobState::kActive);
  desk.wait_for_runs("j1", 2);
}

TEST_CASE("a job is found by id, by its model while it is unfinished, then by its model's last one") {
  Desk desk;
  desk.start("m");
  CHECK((*desk.jobs->find("j1"))->id == "j1");
  CHECK((*desk.jobs->find("M:latest"))->id == "j1");
  CHECK(desk.jobs->find("other").error().code == ErrorCode::kNotFound);
  CHECK(desk.jobs->find("../x").error().code == ErrorCode::kNotFound);
  desk.transfers.end("j1", summary());
  desk.wait_for("j1", JobState::kCompleted);
  CHECK((*desk.jobs->find("m"))->id == "j1");
  desk.now_ms += 1000;
  desk.start("m");
  CHECK((*desk.jobs->find("m"))->id == "j2");
}

TEST_CASE("a dry run answers with the plan and becomes no job") {
  Desk desk;
  std::optional<Result<engine::PullPlan>> plan;
  const auto ask = [&](const char* model) {
    plan.reset();
    desk.jobs->plan({queue::JobKind::kPull, ModelName::parse(model).value(), "/models", "{}"},
                    [&](Result<engine::PullPlan> answer) { plan = std::move(answer); });
    desk.loop.run_until([&] { return plan.has_value(); });
  };
  ask("m");
  CHECK(plan->value().total_bytes == 77);
  ask("missing");
  CHECK(plan->error().code == ErrorCode::kNotFound);
  CHECK(desk.jobs->list().empty());
  CHECK(desk.saves == 0);
}

TEST_CASE("a crowd of pulls is accepted, so many of them run, and the others follow as places are free") {
  constexpr std::size_t kMore = 3;
  Desk desk;
  for (std::size_t i = 0; i < JobRunner::kMaxAskedRuns + kMore; ++i) desk.start("m" + std::to_string(i));
  CHECK(desk.jobs->counts().active == JobRunner::kMaxAskedRuns);
  CHECK(desk.jobs->counts().queued == kMore);
  const std::string first = "j" + std::to_string(JobRunner::kMaxAskedRuns + 1);
  const std::string second = "j" + std::to_string(JobRunner::kMaxAskedRuns + 2);
  CHECK(desk.state(first) == JobState::kQueued);
  CHECK(desk.ask(&Jobs::pause, first) == JobState::kPaused);
  desk.transfers.end("j1", summary());
  desk.wait_for(second, JobState::kActive);
  CHECK(desk.ask(&Jobs::resume, first) == JobState::kQueued);
  desk.transfers.end("j2", summary());
  desk.wait_for("j2", JobState::kCompleted);
  desk.transfers.end("j3", summary());
  desk.wait_for(first, JobState::kActive);

  SUBCASE("and after a crash no more go on at once") {
    auto before = desk.saved;
    for (queue::JobPtr& job : before.direct) {
      auto active = std::make_shared<queue::Job>(*job);
      if (!queue::is_finished(job->state)) active->state = JobState::kActive;
      job = active;
    }
    Desk again(before);
    again.jobs->resume_interrupted();
    CHECK(again.jobs->counts().active == JobRunner::kMaxAskedRuns);
  }
}

TEST_CASE("of a crowd of dry runs every one is answered") {
  constexpr int kAsked = 3 * static_cast<int>(JobRunner::kMaxPlans);
  Desk desk;
  int answered = 0;
  for (int i = 0; i < kAsked; ++i) {
    desk.jobs->plan({queue::JobKind::kPull, ModelName::parse("m").value(), "/models", "{}"},
                    [&](const Result<engine::PullPlan>& plan) { answered += plan.has_value() ? 1 : 0; });
  }
  desk.loop.run_until([&] { return answered == kAsked; });
}
