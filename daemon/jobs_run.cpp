// What runs: each job in its turn, as far as there are places.
#include <spdlog/spdlog.h>
#include <algorithm>

#include "daemon/jobs.h"

namespace pullama {

using queue::JobPtr;
using queue::JobState;
namespace event = proto::event;

JobPtr Jobs::mark(const std::string& id, JobState to, std::optional<Error> error) {
  if (const auto live = live_.find(id); live != live_.end() && live->second.progress.bytes_total() != 0) {
    queue_.note_figures(id, live->second.progress.bytes_done(), live->second.progress.bytes_total());
  }
  auto marked = queue_.mark(id, to, ports_.now_ms(), std::move(error));
  if (!marked) {  // every caller has looked at the state: a hole in this program's logic
    spdlog::critical("{}", marked.error().message);
    std::abort();
  }
  return *marked;
}

void Jobs::wake() {
  if (!queue_.asleep() || stopping_) return;
  queue_.wake();
  resume_interrupted();
}

bool Jobs::was_interrupted(const std::vector<std::string>& ids) const {
  if (!queue_.asleep()) return false;
  const auto waiting = queue_.interrupted();
  return std::any_of(waiting.begin(), waiting.end(),
                     [&](const JobPtr& job) { return std::find(ids.begin(), ids.end(), job->id) != ids.end(); });
}

void Jobs::resume_interrupted() {
  auto jobs = queue_.interrupted();
  // What was under way has its place before what only waited for the network or for room.
  std::stable_partition(jobs.begin(), jobs.end(), [](const JobPtr& job) { return job->state == JobState::kActive; });
  for (const JobPtr& job : jobs) activate_in_turn(job->id, false, job->state != JobState::kQueued);
  settle();
}

void Jobs::activate(const std::string& id, bool resumed) {
  JobPtr job = queue_.find(id);
  Live& live = live_[id];
  ++live.turn;
  live.waiting_until.reset();
  if (runner_.running(id)) {  // it is being stopped: start again once it has
    live.again = live.goal != Goal::kNone && live.goal != Goal::kShutdown;
    return;
  }
  if (job->state != JobState::kActive) job = mark(id, JobState::kActive);
  live.goal = Goal::kNone;
  live.progress.hold(job->bytes_done, job->bytes_total);  // of an earlier process
  live.bytes_before = live.progress.bytes_done();
  if (resumed) publish(*job, event::JobResumed{});
  publish(*job, event::JobStarted{wire_kind(job->kind)});
  runner_.start(job);
}

bool Jobs::has_place(const queue::Job& job, bool wanted_now) const {
  if (wanted_now || !job.entry) return runner_.has_room();
  const auto active = std::count_if(queue_.entries().begin(), queue_.entries().end(), [this](const JobPtr& entry) {
    return entry->state == JobState::kActive && runner_.running(entry->id);
  });
  return static_cast<unsigned>(active) < queue_.limits().parallel_models;
}

void Jobs::activate_in_turn(const std::string& id, bool wanted_now, bool resumed) {
  JobPtr job = queue_.find(id);
  if (runner_.running(id) || has_place(*job, wanted_now)) return activate(id, resumed);
  Live& live = live_[id];
  ++live.turn;
  live.waiting_until.reset();
  if (job->state == JobState::kPaused) publish(*job, event::JobResumed{});
  if (job->state != JobState::kQueued) {
    job = mark(id, JobState::kQueued);
    const std::size_t position = queue_.position_of(id);
    publish(*job, event::JobQueued{wire_kind(job->kind), position == 0 ? std::nullopt : std::optional(position)});
  }
  if (wanted_now || !job->entry) wanted_now_.push_back(id);
}

void Jobs::pump() {
  if (stopping_) return;
  while (!wanted_now_.empty() && runner_.has_room() && !queue_.asleep()) {
    const JobPtr job = queue_.find(wanted_now_.front());
    wanted_now_.pop_front();
    if (job && job->state == JobState::kQueued) activate(job->id, false);  // else it was paused or cancelled meanwhile
  }
  while (const JobPtr next = queue_.next_to_run()) activate(next->id, false);
}

void Jobs::stop_run(const std::string& id, Goal goal, std::function<void()> then) {
  Live& live = live_[id];
  // A cancel outranks a pause that is under way; both outrank a stop of the queue.
  if (live.goal == Goal::kNone || live.goal == Goal::kRequeue || goal == Goal::kCancel) live.goal = goal;
  live.again = false;
  if (then) live.when_stopped.push_back(std::move(then));
  runner_.stop(id);
}

bool Jobs::busy() const {
  if (runner_.count() > 0) return true;
  return !queue_.asleep() && (queue_.count(JobState::kWaitingNetwork) > 0 || queue_.count(JobState::kWaitingSpace) > 0);
}

void Jobs::shut_down(std::function<void()> done) {
  stopping_ = true;
  when_idle_ = std::move(done);
  for (auto& [id, live] : live_) {
    ++live.turn;
    if (runner_.running(id) && live.goal == Goal::kNone) live.goal = Goal::kShutdown;
  }
  runner_.stop_all();
  if (runner_.count() == 0 && when_idle_) std::exchange(when_idle_, nullptr)();
}

}  // namespace pullama
