#include "daemon/jobs.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/daemon/jobs_desk.h"

using namespace pullama;
using namespace pullama::testing;
using queue::JobState;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("the queue runs one model after the other and is paused at the end") {
  Desk desk;
  desk.add({"a", "b", "c"});
  CHECK(desk.transfers.runs("j1") == 0);
  CHECK(desk.settle([&](auto answer) { desk.jobs->start_queue(answer); }).has_value());
  CHECK(desk.state("j1") == JobState::kActive);
  CHECK(desk.state("j2") == JobState::kQueued);
  desk.transfers.end("j1", summary());
  desk.wait_for("j2", JobState::kActive);
  desk.transfers.end("j2", fail(ErrorCode::kNotFound, "no such model"));
  desk.wait_for("j3", JobState::kActive);
  CHECK_FALSE(desk.jobs->view().paused);
  desk.transfers.end("j3", summary());
  desk.wait_for("j3", JobState::kCompleted);
  CHECK(desk.jobs->view().paused);
  CHECK(desk.state("j2") == JobState::kFailed);
  CHECK(desk.saved.paused);
}

TEST_CASE("a queued model that waits for the network lets the next one pass and goes on by itself, in its turn") {
  Desk desk;
  desk.add({"a", "b"});
  (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
  desk.transfers.end("j1", fail(network()));
  desk.wait_for("j1", JobState::kWaitingNetwork);
  CHECK(desk.state("j2") == JobState::kActive);
  desk.fire_timers();
  CHECK(desk.state("j1") == JobState::kQueued);
  CHECK(desk.state("j2") == JobState::kActive);
  desk.transfers.end("j2", summary());
  desk.wait_for("j1", JobState::kActive);
}

TEST_CASE("an entry that is resumed keeps to parallel_models: its place in the queue is its turn") {
  Desk desk;
  desk.add({"a", "b", "c"});
  (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
  desk.wait_for_runs("j1", 1);
  CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
  desk.wait_for("j2", JobState::kActive);
  (void)desk.events();
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kQueued);
  CHECK(desk.state("j2") == JobState::kActive);
  CHECK(desk.events() == std::vector<std::string>{"job.resumed j1", "job.queued j1", "queue.changed"});
  CHECK(std::get<proto::event::JobQueued>(last(desk, "job.queued")->body).position == 1);
  desk.transfers.end("j2", summary());
  desk.wait_for("j1", JobState::kActive);  // before j3
  CHECK(desk.state("j3") == JobState::kQueued);
}

TEST_CASE("after a crash no more entries run than parallel_models says, those that were active first") {
  queue::QueueData before;
  {
    Desk desk;
    desk.add({"a", "b", "c", "d"});
    (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
    for (const char* id : {"j1", "j2", "j3"}) {
      desk.transfers.end(id, fail(network()));
      desk.wait_for(id, JobState::kWaitingNetwork);
    }
    desk.wait_for("j4", JobState::kActive);
    before = desk.saved;
  }
  Desk desk(before);
  desk.jobs->resume_interrupted();
  desk.wait_for_runs("j4", 1);
  CHECK(desk.jobs->counts().active == 1);
  CHECK(desk.jobs->counts().queued == 3);
  desk.transfers.end("j4", summary());
  desk.wait_for("j1", JobState::kActive);
  CHECK(desk.jobs->counts().active == 1);
}

TEST_CASE("stop lets the current model finish, or puts it back at once") {
  Desk desk;
  desk.add({"a", "b"});
  (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
  desk.wait_for_runs("j1", 1);
  (void)desk.settle([&](auto answer) { desk.jobs->stop_queue(true, answer); });
  CHECK(desk.state("j1") == JobState::kActive);
  CHECK(desk.jobs->view().paused);
  // Answered when it is so: a crash after the answer must not find it active.
  (void)desk.settle([&](auto answer) { desk.jobs->stop_queue(false, answer); });
  CHECK(desk.state("j1") == JobState::kQueued);
  CHECK(desk.saved.entries.at(0)->state == JobState::kQueued);
  CHECK(desk.jobs->view().paused);
  CHECK(desk.state("j2") == JobState::kQueued);
}

TEST_CASE("a direct pull of a queued model runs now, as that entry") {
  Desk desk;
  desk.add({"a"});
  const auto accepted = desk.pull("a");
  CHECK(accepted->joined);
  CHECK(accepted->id == "j1");
  CHECK(desk.state("j1") == JobState::kActive);
  CHECK(desk.jobs->view().entries.at(0).state == proto::JobState::kActive);
}

TEST_CASE("queue changes are published with what changed") {
  Desk desk;
  desk.add({"a", "b"});
  const auto* added = last(desk, "queue.changed");
  REQUIRE(added != nullptr);
  CHECK(std::get<proto::event::QueueChanged>(added->body).change == "added");
  CHECK(std::get<proto::event::QueueChanged>(added->body).ids == std::vector<std::string>{"j1", "j2"});
  CHECK(desk.settle([&](auto answer) { desk.jobs->move("j2", 1, answer); }).has_value());
  CHECK(std::get<proto::event::QueueChanged>(last(desk, "queue.changed")->body).change == "moved");
  CHECK(desk.settle([&](auto answer) { desk.jobs->remove("j1", answer); }).has_value());
  const auto events = desk.events();
  CHECK(std::find(events.begin(), events.end(), "job.cancelled j1") != events.end());
  CHECK(desk.settle([&](auto answer) { desk.jobs->clear(answer); }).has_value());
  CHECK(desk.jobs->view().entries.empty());
}

TEST_CASE("after a crash what was active goes on when the daemon starts") {
  queue::QueueData before;
  {
    Desk desk;
    desk.start("direct");
    desk.add({"entry", "next"});
    (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
    before = desk.saved;
  }
  Desk desk(before);
  desk.jobs->resume_interrupted();
  desk.wait_for_runs("j1", 1);
  desk.wait_for_runs("j2", 1);
  CHECK(desk.state("j3") == JobState::kQueued);
}

TEST_CASE("an on-demand daemon starts nothing by itself, shows what waits, and goes on when it is woken") {
  queue::QueueData before;
  {
    Desk desk;
    desk.start("direct");
    desk.add({"entry"});
    (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
    before = desk.saved;
  }
  Desk desk(before, true);
  CHECK_FALSE(desk.jobs->busy());
  CHECK(desk.jobs->counts().queued == 2);
  CHECK(desk.jobs->counts().active == 0);
  desk.add({"more"});
  CHECK(desk.jobs->queue().asleep());
  CHECK(desk.saved.entries.at(0)->state == JobState::kActive);  // another death would forget nothing
  CHECK(desk.jobs->was_interrupted({"j9", "j1"}));
  CHECK_FALSE(desk.jobs->was_interrupted({"j3"}));  // the one that was added just now
  CHECK_FALSE(desk.jobs->was_interrupted({}));
  desk.jobs->wake();
  CHECK_FALSE(desk.jobs->was_interrupted({"j1"}));
  desk.wait_for_runs("j1", 1);
  desk.wait_for_runs("j2", 1);
  CHECK(desk.jobs->counts().active == 2);
}

TEST_CASE("a shutdown stops everything and leaves it active in the queue file") {
  Desk desk;
  desk.start("m");
  desk.wait_for_runs("j1", 1);
  bool done = false;
  desk.jobs->shut_down([&] { done = true; });
  CHECK_FALSE(done);
  desk.loop.run_until([&] { return done; });
  CHECK(desk.saved.direct.at(0)->state == JobState::kActive);
  CHECK_FALSE(desk.pull("other").has_value());
}

TEST_CASE("limits take effect at once and are kept") {
  Desk desk;
  desk.add({"a", "b"});
  (void)desk.settle([&](auto answer) { desk.jobs->start_queue(answer); });
  CHECK(desk.settle([&](auto answer) { desk.jobs->set_limits({5000, 4, 2}, answer); }).has_value());
  CHECK(desk.transfers.rate == 5000);
  CHECK(desk.transfers.connections == 4);
  CHECK(desk.state("j2") == JobState::kActive);
  CHECK(desk.saved.limits == queue::Limits{5000, 4, 2});
  CHECK(last(desk, "limits.changed") != nullptr);
  CHECK_FALSE(desk.settle([&](auto answer) { desk.jobs->set_limits({0, 99, 1}, answer); }).has_value());
}

TEST_CASE("the snapshot holds every job, or those that are named, in the queue too") {
  Desk desk;
  desk.add({"a", "b"});
  desk.start("c");
  const auto all = desk.jobs->snapshot({});
  CHECK(all.jobs.size() == 3);
  CHECK(all.queue.entries.size() == 2);
  const auto some = desk.jobs->snapshot({"j2", "j9", "j2"});
  REQUIRE(some.jobs.size() == 1);
  CHECK(some.jobs[0].state == proto::JobState::kQueued);
  REQUIRE(some.queue.entries.size() == 1);
  CHECK(some.queue.entries[0].position == 2);
  CHECK(desk.jobs->snapshot({"j3"}).queue.entries.empty());
}

TEST_CASE("what cannot be made durable is not done") {
  Desk desk;
  desk.add({"a", "b"});
  desk.save_error = disk_full();
  CHECK_FALSE(desk.settle([&](auto answer) { desk.jobs->remove("j1", answer); }).has_value());
  CHECK_FALSE(desk.settle([&](auto answer) { desk.jobs->clear(answer); }).has_value());
  CHECK(desk.jobs->view().entries.size() == 2);
  CHECK_FALSE(desk.settle([&](auto answer) { desk.jobs->set_limits({5000, 4, 2}, answer); }).has_value());
  CHECK(desk.jobs->queue().limits() == queue::Limits{});
  CHECK(desk.transfers.rate == 0);
  CHECK(desk.transfers.connections == 0);
  (void)desk.events();
  bool refused = false;
  desk.jobs->add({{queue::JobKind::kPull, ModelName::parse("c").value(), "/models", "{}"}}, false,
                 [&](const Result<queue::Queue::AddResult>& result) { refused = !result.has_value(); });
  desk.loop.run_until([&] { return refused; });
  CHECK(desk.events() ==
        std::vector<std::string>{"job.queued j3", "queue.changed", "job.cancelled j3", "queue.changed"});
  desk.save_error.reset();
  CHECK(desk.settle([&](auto answer) { desk.jobs->set_limits({5000, 4, 2}, answer); }).has_value());
  CHECK(desk.transfers.connections == 4);
  CHECK(desk.saved.entries.size() == 2);
}

TEST_CASE("figures of what is paused or finished are there after a restart, and do not fall") {
  const engine::BlobRef blob{Digest::from_bytes({1}), 1000, 1, 1};
  const engine::ManifestFetched fetched{Digest::from_bytes({2}), 1, 1000, {blob}};
  queue::QueueData before;
  {
    Desk desk;
    desk.start("m");
    desk.transfers.report("j1", fetched);
    desk.transfers.report("j1", engine::BlobProgress{blob, 400, 0, 0, 5.0, std::nullopt, 1});
    desk.loop.run_until([&] { return desk.jobs->list().at(0).bytes_done == 400; });
    CHECK(desk.ask(&Jobs::pause, "j1") == JobState::kPaused);
    before = desk.saved;
  }
  Desk desk(before);
  CHECK(desk.jobs->list().at(0).bytes_done == 400);
  CHECK(desk.jobs->list().at(0).bytes_total == 1000);
  CHECK(desk.ask(&Jobs::resume, "j1") == JobState::kActive);
  desk.transfers.report("j1", fetched);
  desk.loop.run_until([&] { return last(desk, "manifest.fetched") != nullptr; });
  CHECK(desk.jobs->list().at(0).bytes_done == 400);
}

TEST_CASE("a new entry that takes the place of a finished one says so") {
  Desk desk;
  desk.add({"a"});
  CHECK(desk.ask(&Jobs::cancel, "j1") == JobState::kCancelled);
  (void)desk.events();
  desk.add({"a"});
  CHECK(desk.events() == std::vector<std::string>{"job.queued j2", "queue.changed", "queue.changed"});
  const auto& removed = std::get<proto::event::QueueChanged>(desk.published.at(desk.published.size() - 2).body);
  CHECK(removed.change == "removed");
  CHECK(removed.ids == std::vector<std::string>{"j1"});
}
