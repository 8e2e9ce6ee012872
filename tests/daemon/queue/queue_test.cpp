#include "daemon/queue/queue.h"

#include <doctest/doctest.h>

#include <fmt/core.h>
#include <array>
#include <chrono>

using namespace pullama;
using namespace pullama::queue;

namespace {

constexpr std::array kAllStates{JobState::kQueued,       JobState::kActive,   JobState::kWaitingNetwork,
                                JobState::kWaitingSpace, JobState::kPaused,   JobState::kCompleted,
                                JobState::kFailed,       JobState::kCancelled};

ModelName name(const std::string& text) { return ModelName::parse(text).value(); }

NewJob pull(const std::string& model, const std::string& dir = "/models") {
  return NewJob{JobKind::kPull, name(model), dir, "{}"};
}

Queue with(const std::vector<std::string>& models) {
  Queue queue;
  std::vector<NewJob> jobs;
  for (const auto& model : models) jobs.push_back(pull(model));
  queue.add(jobs, false, 1);
  return queue;
}

std::string order(const Queue& queue) {
  std::string text;
  for (const auto& job : queue.entries()) text += (text.empty() ? "" : " ") + job->model.model();
  return text;
}

void must(const Result<JobPtr>& marked) { REQUIRE_MESSAGE(marked.has_value(), (marked ? "" : marked.error().message)); }

// Brings a fresh entry into a state by legal steps.
void bring(Queue& queue, const std::string& id, JobState state) {
  if (state == JobState::kQueued) return;
  must(queue.mark(id, JobState::kActive, 2));
  if (state != JobState::kActive) must(queue.mark(id, state, 3, Error{ErrorCode::kNetwork, "no route", "", 0}));
}

}  // namespace

TEST_CASE("every pair of states is either a legal step or refused with both names") {
  // Row: from; column: to; in the order of kAllStates.
  constexpr std::array<const char*, 8> kLegal{
      ".x..x..x",  // queued
      "x.xxxxxx",  // active
      "xx..x.xx",  // waiting_network
      "xx..x.xx",  // waiting_space
      "xx.....x",  // paused
      "........",  // completed
      "x.......",  // failed
      "x.......",  // cancelled
  };
  for (std::size_t from = 0; from < kAllStates.size(); ++from) {
    for (std::size_t to = 0; to < kAllStates.size(); ++to) {
      CAPTURE(state_name(kAllStates[from]));
      CAPTURE(state_name(kAllStates[to]));
      const bool legal = kLegal[from][to] == 'x';
      CHECK(may_follow(kAllStates[from], kAllStates[to]) == legal);
      Queue queue = with({"a"});
      bring(queue, "j1", kAllStates[from]);
      const auto marked = queue.mark("j1", kAllStates[to], 9);
      CHECK(marked.has_value() == legal);
      if (legal) {
        CHECK(queue.find("j1")->state == kAllStates[to]);
      } else {
        CHECK(marked.error().message.find(std::string(state_name(kAllStates[from]))) != std::string::npos);
        CHECK(marked.error().message.find(std::string(state_name(kAllStates[to]))) != std::string::npos);
        CHECK(queue.find("j1")->state == kAllStates[from]);
      }
    }
  }
}

TEST_CASE("names of states and kinds are read back") {
  for (const JobState state : kAllStates) CHECK(parse_state(state_name(state)) == state);
  CHECK(parse_kind("pull") == JobKind::kPull);
  CHECK_FALSE(parse_state("Queued"));
  CHECK_FALSE(parse_kind(""));
}

TEST_CASE("what is queued or under way is skipped with the reason, what is finished may be added again") {
  for (const JobState state : kAllStates) {
    CAPTURE(state_name(state));
    Queue queue = with({"a", "b"});
    bring(queue, "j1", state);
    const auto result = queue.add({pull("A:latest")}, false, 5);
    if (is_finished(state)) {
      REQUIRE(result.added.size() == 1);
      CHECK(result.added[0]->id == "j3");
      CHECK(queue.find("j1") == nullptr);
      CHECK(order(queue) == "b A");
    } else {
      REQUIRE(result.skipped.size() == 1);
      CHECK(result.skipped[0].why == fmt::format("it is already {}", state_name(state)));
      CHECK(order(queue) == "a b");
    }
  }
}

TEST_CASE("the same model in one request is added once") {
  Queue queue;
  const auto result = queue.add({pull("a"), pull("a:latest"), pull("a:7b")}, false, 1);
  CHECK(result.added.size() == 2);
  CHECK(result.skipped.size() == 1);
}

TEST_CASE("the same model goes to two stores as two jobs") {
  Queue queue;
  const auto result = queue.add({pull("a", "/one"), pull("a", "/two")}, false, 1);
  CHECK(result.added.size() == 2);
  CHECK(queue.find_open(JobKind::kPull, name("a"), "/two")->id == "j2");
}

TEST_CASE("front means before the first that still waits for its turn") {
  Queue queue = with({"a", "b"});
  queue.start();
  must(queue.mark("j1", JobState::kActive, 2));
  queue.add({pull("c"), pull("d")}, true, 3);
  CHECK(order(queue) == "a c d b");
}

TEST_CASE("an entry moves to any place") {
  struct Row {
    std::size_t from, to;
    const char* after;
  };
  for (const Row& row : {Row{1, 3, "b c a d"}, Row{4, 1, "d a b c"}, Row{2, 2, "a b c d"}, Row{1, 4, "b c d a"}}) {
    Queue queue = with({"a", "b", "c", "d"});
    const std::string id = queue.at(row.from)->id;
    CHECK(queue.move(id, row.to).has_value());
    CHECK(order(queue) == row.after);
    CHECK(queue.position_of(id) == row.to);
  }
  Queue queue = with({"a"});
  CHECK_FALSE(queue.move("j1", 0).has_value());
  CHECK_FALSE(queue.move("j1", 2).has_value());
  CHECK(queue.move("j9", 1).error().code == ErrorCode::kNotFound);
}

TEST_CASE("removing an active entry is an error that says how to cancel it") {
  Queue queue = with({"a", "b"});
  bring(queue, "j1", JobState::kActive);
  const auto refused = queue.remove("j1");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().hint.find("pullama cancel a:latest") != std::string::npos);
  CHECK(queue.remove("j2").has_value());
  CHECK(queue.remove("j2").error().code == ErrorCode::kNotFound);
  CHECK(order(queue) == "a");
  CHECK(queue.add({pull("b")}, false, 4).added.size() == 1);
}

TEST_CASE("clear leaves what is active and nothing else") {
  Queue queue = with({"a", "b", "c", "d"});
  bring(queue, "j1", JobState::kCompleted);
  bring(queue, "j2", JobState::kActive);
  bring(queue, "j3", JobState::kWaitingNetwork);
  CHECK(queue.clear().size() == 3);
  CHECK(order(queue) == "b");
  CHECK(queue.clear().empty());
}

TEST_CASE("retry queues failed entries again and starts nothing") {
  Queue queue = with({"a", "b", "c"});
  bring(queue, "j1", JobState::kFailed);
  bring(queue, "j2", JobState::kCancelled);
  CHECK(queue.find("j1")->error.has_value());
  CHECK(queue.retry().value().size() == 1);
  CHECK(queue.find("j1")->state == JobState::kQueued);
  CHECK_FALSE(queue.find("j1")->error.has_value());
  CHECK(queue.find("j2")->state == JobState::kCancelled);
  CHECK(queue.paused());
  CHECK(queue.retry("j2").value().size() == 1);
  CHECK(queue.retry("j2").value().empty());
  bring(queue, "j3", JobState::kActive);
  CHECK_FALSE(queue.retry("j3").has_value());
  CHECK(queue.retry("j7").error().code == ErrorCode::kNotFound);
  CHECK(queue.retry("").error().code == ErrorCode::kNotFound);
}

TEST_CASE("a failed entry that is pulled directly meanwhile is not queued a second time") {
  Queue queue = with({"a"});
  bring(queue, "j1", JobState::kFailed);
  const auto direct = queue.start_direct(pull("a"), 4);
  CHECK_FALSE(direct.joined);
  CHECK(queue.retry().value().empty());
}

TEST_CASE("nothing runs before start, then as many as parallel_models at a time, in order") {
  Queue queue = with({"a", "b", "c"});
  CHECK(queue.next_to_run() == nullptr);
  CHECK(queue.start());
  CHECK_FALSE(queue.start());
  CHECK(queue.next_to_run()->id == "j1");
  must(queue.mark("j1", JobState::kActive, 2));
  CHECK(queue.next_to_run() == nullptr);
  CHECK(queue.set_limits({0, 0, 2}).has_value());
  CHECK(queue.next_to_run()->id == "j2");
}

TEST_CASE("an entry that failed or waits for network or space does not block the rest") {
  for (const JobState state :
       {JobState::kWaitingNetwork, JobState::kWaitingSpace, JobState::kFailed, JobState::kPaused}) {
    Queue queue = with({"a", "b"});
    queue.start();
    bring(queue, "j1", state);
    REQUIRE(queue.next_to_run() != nullptr);
    CHECK(queue.next_to_run()->id == "j2");
  }
}

TEST_CASE("a queue that has run dry is paused again, one that waits for the network is not") {
  Queue queue = with({"a", "b"});
  queue.start();
  bring(queue, "j1", JobState::kCompleted);
  CHECK_FALSE(queue.paused());
  bring(queue, "j2", JobState::kWaitingNetwork);
  CHECK_FALSE(queue.paused());
  must(queue.mark("j2", JobState::kFailed, 4));
  CHECK(queue.paused());
  CHECK(queue.retry().value().size() == 1);
  CHECK(queue.next_to_run() == nullptr);
}

TEST_CASE("stop pauses and queues again what waits") {
  Queue queue = with({"a", "b", "c"});
  queue.start();
  bring(queue, "j1", JobState::kWaitingNetwork);
  bring(queue, "j2", JobState::kActive);
  CHECK(queue.stop().size() == 1);
  CHECK(queue.find("j1")->state == JobState::kQueued);
  CHECK(queue.find("j2")->state == JobState::kActive);
  CHECK(queue.paused());
  CHECK(queue.stop().empty());
}

TEST_CASE("a second pull of the same model to the same store joins the first") {
  Queue queue;
  const auto first = queue.start_direct(pull("user/M:7b"), 1);
  must(queue.mark(first.job->id, JobState::kActive, 2));
  const auto second = queue.start_direct(pull("user/m:7B"), 3);
  CHECK(second.joined);
  CHECK(second.job->id == first.job->id);
  CHECK_FALSE(queue.start_direct(pull("user/m:7b", "/other"), 3).joined);
  must(queue.mark(first.job->id, JobState::kCompleted, 4));
  CHECK_FALSE(queue.start_direct(pull("user/m:7b"), 5).joined);
}

TEST_CASE("a pull of what is queued joins the entry, which takes the new options unless it is active") {
  Queue queue = with({"a"});
  NewJob job = pull("a");
  job.options = R"({"insecure":true})";
  const auto start = queue.start_direct(job, 2);
  CHECK(start.joined);
  CHECK(start.job->id == "j1");
  CHECK(queue.find("j1")->options == job.options);
  must(queue.mark("j1", JobState::kActive, 3));
  queue.start_direct(pull("a"), 4);
  CHECK(queue.find("j1")->options == job.options);
  CHECK(queue.direct().empty());
}

TEST_CASE("after a restart what was active is active again and ids go on") {
  Queue before = with({"a", "b", "c"});
  before.start();
  bring(before, "j1", JobState::kActive);
  bring(before, "j2", JobState::kWaitingSpace);
  before.start_direct(pull("d"), 4);
  Queue queue(before.data());
  CHECK_FALSE(queue.paused());
  const auto interrupted = queue.interrupted();
  REQUIRE(interrupted.size() == 3);
  CHECK(interrupted[0]->id == "j4");
  CHECK(interrupted[1]->state == JobState::kActive);
  CHECK(interrupted[2]->state == JobState::kWaitingSpace);
  CHECK(queue.add({pull("e")}, false, 5).added[0]->id == "j5");
  CHECK(queue.add({pull("a")}, false, 5).skipped.size() == 1);
}

TEST_CASE("asleep, nothing runs until it is woken") {
  Queue before = with({"a", "b"});
  before.start();
  Queue queue(before.data(), true);
  CHECK(queue.next_to_run() == nullptr);
  CHECK_FALSE(queue.paused());
  queue.wake();
  CHECK(queue.next_to_run()->id == "j1");
}

TEST_CASE("asleep, what was active when the last daemon died is an entry like any other") {
  Queue before = with({"a", "b", "c"});
  bring(before, "j1", JobState::kActive);
  bring(before, "j2", JobState::kActive);
  Queue queue(before.data(), true);
  CHECK(queue.retry("j1").value().empty());  // it is shown as queued
  CHECK(queue.remove("j1").has_value());
  CHECK(queue.clear().size() == 2);
  CHECK(queue.entries().empty());
}

TEST_CASE("finished entries are forgotten beyond a bound, oldest first, failed ones never") {
  Queue queue = with({"failed"});
  bring(queue, "j1", JobState::kFailed);
  for (std::size_t i = 0; i < Queue::kMaxFinishedEntries + 5; ++i) {
    const auto added = queue.add({pull(fmt::format("m{}", i))}, false, 1);
    bring(queue, added.added[0]->id, JobState::kCompleted);
  }
  CHECK(queue.entries().size() == Queue::kMaxFinishedEntries + 1);
  CHECK(queue.at(1)->model.model() == "failed");
  CHECK(queue.at(2)->model.model() == "m5");
}

TEST_CASE("a job that was given out does not change") {
  Queue queue = with({"a"});
  const JobPtr before = queue.find("j1");
  must(queue.mark("j1", JobState::kActive, 7));
  CHECK(before->state == JobState::kQueued);
  CHECK(queue.find("j1")->started_ms == 7);
  must(queue.mark("j1", JobState::kFailed, 9, Error{ErrorCode::kNotFound, "gone", "look", 0}));
  CHECK(queue.find("j1")->finished_ms == 9);
  CHECK(queue.find("j1")->error->message == "gone");
}

TEST_CASE("forget undoes what could not be made durable") {
  Queue queue;
  const auto start = queue.start_direct(pull("a"), 1);
  queue.forget(start.job->id);
  CHECK(queue.find(start.job->id) == nullptr);
  CHECK(queue.direct().empty());
  CHECK_FALSE(queue.start_direct(pull("a"), 2).joined);
}

TEST_CASE("limits out of range are refused and change nothing") {
  Queue queue;
  CHECK_FALSE(queue.set_limits({0, 17, 1}).has_value());
  CHECK_FALSE(queue.set_limits({0, 0, 0}).has_value());
  CHECK_FALSE(queue.set_limits({0, 0, 17}).has_value());
  CHECK(queue.limits() == Limits{});
  CHECK(queue.set_limits({5'000'000, 16, 16}).has_value());
  CHECK(queue.limits().rate == 5'000'000);
}
