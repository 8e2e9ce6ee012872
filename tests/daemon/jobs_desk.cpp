#include "tests/daemon/jobs_desk.h"

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <chrono>

namespace pullama::testing {

void Loop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

std::optional<std::function<void()>> Loop::take(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) changed_.wait_for(lock, std::chrono::seconds(10), [this] { return !work_.empty(); });
  if (work_.empty()) return std::nullopt;
  auto work = std::move(work_.front());
  work_.pop_front();
  return work;
}

void Loop::run_until(const std::function<bool()>& done) {
  while (!done()) {
    const auto work = take(true);
    REQUIRE_MESSAGE(work.has_value(), "nothing happens any more");
    (*work)();
  }
}

void Loop::run_pending() {
  while (const auto work = take(false)) (*work)();
}

ScriptedTransfers::Outcome ScriptedTransfers::run(const queue::Job& job, engine::ProgressSink& sink,
                                                  std::stop_token stop) {
  std::unique_lock lock(mutex_);
  Script& script = scripts_[job.id];
  ++script.runs;
  for (;;) {
    changed_.wait(lock, stop, [&] { return !script.reports.empty() || !script.outcomes.empty(); });
    if (!script.reports.empty()) {
      const auto report = std::move(script.reports.front());
      script.reports.pop_front();
      sink.report(report);
    } else if (!script.outcomes.empty()) {
      auto outcome = std::move(script.outcomes.front());
      script.outcomes.pop_front();
      return outcome;
    } else if (!hangs_on_stop) {
      return fail(ErrorCode::kCancelled, "stopped");
    } else {
      changed_.wait(lock, [&] { return !script.outcomes.empty(); });
    }
  }
}

Result<engine::PullPlan> ScriptedTransfers::plan(const queue::Job& job, std::stop_token) {
  if (job.model.model() == "missing") return fail(ErrorCode::kNotFound, "no such model");
  engine::PullPlan plan{Digest::from_bytes({}), {}, 0, 0, 0, 0};
  plan.total_bytes = 77;
  return plan;
}

Result<std::uint64_t> ScriptedTransfers::free_bytes(const std::string&) {
  const std::lock_guard lock(mutex_);
  return free;
}

void ScriptedTransfers::end(const std::string& id, Outcome outcome) {
  const std::lock_guard lock(mutex_);
  scripts_[id].outcomes.push_back(std::move(outcome));
  changed_.notify_all();
}

void ScriptedTransfers::report(const std::string& id, engine::Report report) {
  const std::lock_guard lock(mutex_);
  scripts_[id].reports.push_back(std::move(report));
  changed_.notify_all();
}

int ScriptedTransfers::runs(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto it = scripts_.find(id);
  return it == scripts_.end() ? 0 : it->second.runs;
}

engine::PullSummary summary(std::uint64_t total_bytes) {
  engine::PullSummary result{Digest::from_bytes({}), 0, 0, 0, 0, 0};
  result.total_bytes = total_bytes;
  result.fetched_bytes = total_bytes;
  result.blob_count = 2;
  return result;
}

Desk::Desk(queue::QueueData data, bool asleep) {
  spdlog::set_level(spdlog::level::off);  // failures are on purpose here
  JobsPorts ports;
  ports.models_dir = "/models";
  ports.publish = [this](proto::Event event) { published.push_back(std::move(event)); };
  ports.post = [this](std::function<void()> work) { loop.post(std::move(work)); };
  ports.after = [this](std::chrono::milliseconds pause, std::function<void()> action) {
    timers_.emplace_back(pause, std::move(action));
  };
  ports.storage = [](const std::function<void()>& work) { work(); };
  ports.save = [this](queue::QueueData state, StateWriter::Saved then) {
    ++saves;
    if (!save_error) saved = std::move(state);
    if (!then) return;
    Status status;
    if (save_error) status = fail(*save_error);
    loop.post([then = std::move(then), status = std::move(status)] { then(status); });
  };
  ports.finished = [this](const store::HistoryEntry& entry) { finished.push_back(entry.model + " " + entry.result); };
  ports.remember = [this](const store::HistoryEntry& entry) { history.push_back(entry); };
  ports.now_ms = [this] { return now_ms; };
  jobs = std::make_unique<Jobs>(std::move(data), asleep, transfers, std::move(ports));
}

Desk::~Desk() { jobs.reset(); }

Result<Jobs::Accepted> Desk::pull(const std::string& model, std::optional<std::uint64_t> session) {
  std::optional<Result<Jobs::Accepted>> answer;
  jobs->start({queue::JobKind::kPull, ModelName::parse(model).value(), "/models", "{}"}, session,
              [&](Result<Jobs::Accepted> accepted) { answer = std::move(accepted); });
  loop.run_until([&] { return answer.has_value(); });
  return std::move(*answer);
}

void Desk::start(const std::string& model, std::optional<std::uint64_t> session) {
  const auto accepted = pull(model, session);
  REQUIRE_MESSAGE(accepted.has_value(), (accepted ? "" : accepted.error().message));
}

void Desk::add(const std::vector<std::string>& models) {
  std::vector<queue::NewJob> wanted;
  for (const auto& model : models) {
    wanted.push_back({queue::JobKind::kPull, ModelName::parse(model).value(), "/models", "{}"});
  }
  bool answered = false;
  jobs->add(wanted, false, [&](const Result<queue::Queue::AddResult>& result) {
    answered = true;
    CHECK(result.has_value());
  });
  loop.run_until([&] { return answered; });
}

queue::JobState Desk::state(const std::string& id) const {
  const auto job = jobs->queue().find(id);
  REQUIRE(job != nullptr);
  return job->state;
}

void Desk::wait_for(const std::string& id, queue::JobState wanted) {
  loop.run_until([&] { return state(id) == wanted; });
}

void Desk::wait_for_runs(const std::string& id, int runs) {
  // The run begins on its own thread, which says nothing to the loop: wake the loop until it has.
  while (transfers.runs(id) < runs) {
    loop.run_pending();
    std::this_thread::yield();
  }
}

Result<queue::JobState> Desk::ask(void (Jobs::*operation)(const std::string&, Jobs::Answer<queue::JobState>),
                                  const std::string& id) {
  std::optional<Result<queue::JobState>> answer;
  ((*jobs).*operation)(id, [&](Result<queue::JobState> state) { answer = std::move(state); });
  loop.run_until([&] { return answer.has_value(); });
  return std::move(*answer);
}

Status Desk::settle(const std::function<void(Jobs::Answer<void>)>& operation) {
  std::optional<Status> answer;
  operation([&](Status status) { answer = std::move(status); });
  loop.run_until([&] { return answer.has_value(); });
  return std::move(*answer);
}

std::vector<std::chrono::milliseconds> Desk::fire_timers() {
  std::vector<std::chrono::milliseconds> pauses;
  for (auto& [pause, action] : std::exchange(timers_, {})) {
    pauses.push_back(pause);
    action();
  }
  loop.run_pending();
  return pauses;
}

std::vector<std::string> Desk::events() {
  std::vector<std::string> types;
  for (; seen_ < published.size(); ++seen_) {
    std::string text(published[seen_].type());
    if (!published[seen_].job.empty()) text += " " + published[seen_].job;
    types.push_back(std::move(text));
  }
  return types;
}

Error network() { return {ErrorCode::kNetwork, "connect registry.ollama.ai: no route to host", "try again", 0}; }
Error disk_full() { return {ErrorCode::kDiskFull, "no room in /models", "try `pullama clean`", 0}; }

const proto::Event* last(const Desk& desk, std::string_view type) {
  for (auto it = desk.published.rbegin(); it != desk.published.rend(); ++it) {
    if (it->type() == type) return &*it;
  }
  return nullptr;
}

}  // namespace pullama::testing
