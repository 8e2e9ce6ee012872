// How jobs and queue are shown to those who ask.
#include <fmt/core.h>
#include <algorithm>
#include <charconv>

#include "daemon/jobs.h"

namespace pullama {

using queue::JobPtr;
using queue::JobState;

namespace {

proto::JobState wire(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return proto::JobState::kQueued;
    case JobState::kActive:
      return proto::JobState::kActive;
    case JobState::kWaitingNetwork:
      return proto::JobState::kWaitingNetwork;
    case JobState::kWaitingSpace:
      return proto::JobState::kWaitingSpace;
    case JobState::kPaused:
      return proto::JobState::kPaused;
    case JobState::kCompleted:
      return proto::JobState::kCompleted;
    case JobState::kFailed:
      return proto::JobState::kFailed;
    case JobState::kCancelled:
      return proto::JobState::kCancelled;
  }
  return proto::JobState::kFailed;
}

// What was active when an on-demand daemon died waits for its turn until something wakes it.
proto::JobState shown_state(const queue::Queue& queue, const queue::Job& job) {
  const bool sleeps = queue.asleep() && !queue::is_finished(job.state) && job.state != JobState::kPaused;
  return sleeps ? proto::JobState::kQueued : wire(job.state);
}

std::optional<proto::Time> time_of(std::int64_t ms) {
  return ms == 0 ? std::nullopt : std::optional(proto::Time(std::chrono::milliseconds(ms)));
}

// By its text: a list of ten thousand is not parsed for it. Inside a string the quotes would be escaped.
bool is_insecure(const queue::Job& job) { return job.options.find("\"insecure\":true") != std::string::npos; }

std::uint64_t number_of(const std::string& id) {
  std::uint64_t number = 0;
  std::from_chars(id.data() + 1, id.data() + id.size(), number);
  return number;
}

}  // namespace

proto::JobKind wire_kind(queue::JobKind kind) {
  return kind == queue::JobKind::kPush ? proto::JobKind::kPush : proto::JobKind::kPull;
}

Result<JobPtr> Jobs::find(const std::string& job) const {
  if (JobPtr found = queue_.find(job)) return found;
  const auto name = ModelName::parse(job);
  JobPtr last;
  if (name) {
    if (JobPtr open = queue_.find_open(*name)) return open;
    for (const auto* jobs : {&queue_.entries(), &queue_.direct()}) {
      for (const JobPtr& known : *jobs) {
        if (known->model.equals_ignoring_case(*name) && (!last || last->finished_ms <= known->finished_ms))
          last = known;
      }
    }
  }
  if (last) return last;
  return fail(ErrorCode::kNotFound, fmt::format("there is no job and no transfer of a model called {}", job),
              "`pullama jobs` shows what is under way");
}

proto::JobSnapshot Jobs::show(const queue::Job& job) const {
  proto::JobSnapshot snapshot;
  snapshot.id = job.id;
  snapshot.kind = wire_kind(job.kind);
  snapshot.model = job.model.display();
  snapshot.models_dir = job.models_dir;
  snapshot.insecure = is_insecure(job);
  snapshot.state = shown_state(queue_, job);
  snapshot.error = job.error;
  snapshot.created = proto::Time(std::chrono::milliseconds(job.added_ms));
  snapshot.started = time_of(job.started_ms);
  snapshot.finished = time_of(job.finished_ms);
  if (const auto live = live_.find(job.id); live != live_.end()) {
    live->second.progress.show(snapshot);
    snapshot.waiting_until = live->second.waiting_until;
  }
  if (snapshot.bytes_total == 0) {
    snapshot.bytes_done = job.bytes_done;
    snapshot.bytes_total = job.bytes_total;
  }
  return snapshot;
}

std::vector<proto::JobSnapshot> Jobs::list() const {
  std::vector<JobPtr> jobs(queue_.direct());
  jobs.insert(jobs.end(), queue_.entries().begin(), queue_.entries().end());
  std::sort(jobs.begin(), jobs.end(),
            [](const JobPtr& a, const JobPtr& b) { return number_of(a->id) < number_of(b->id); });
  std::vector<proto::JobSnapshot> snapshots;
  snapshots.reserve(jobs.size());
  for (const JobPtr& job : jobs) snapshots.push_back(show(*job));
  return snapshots;
}

proto::Snapshot Jobs::snapshot(const std::vector<std::string>& only) const {
  proto::Snapshot snapshot;
  snapshot.queue = view();
  if (only.empty()) {
    snapshot.jobs = list();
  } else {
    const std::set<std::string> wanted(only.begin(), only.end());
    for (const std::string& id : wanted) {
      if (const JobPtr job = queue_.find(id)) snapshot.jobs.push_back(show(*job));
    }
    std::erase_if(snapshot.queue.entries, [&](const auto& entry) { return !wanted.contains(entry.id); });
  }
  const auto& limits = queue_.limits();
  snapshot.limits = {limits.rate, limits.connections, limits.parallel_models};
  return snapshot;
}

proto::QueueView Jobs::view() const {
  proto::QueueView view;
  view.paused = queue_.paused();
  view.entries.reserve(queue_.entries().size());
  for (const JobPtr& job : queue_.entries()) {
    proto::QueueEntry entry;
    entry.position = view.entries.size() + 1;
    entry.id = job->id;
    entry.model = job->model.display();
    entry.state = shown_state(queue_, *job);
    entry.error = job->error;
    if (job->models_dir != ports_.models_dir) entry.models_dir = job->models_dir;
    view.entries.push_back(std::move(entry));
  }
  return view;
}

proto::JobCounts Jobs::counts() const {
  proto::JobCounts counts;
  for (const auto* jobs : {&queue_.direct(), &queue_.entries()}) {
    for (const JobPtr& job : *jobs) proto::count_job(counts, shown_state(queue_, *job));
  }
  return counts;
}

bool Jobs::is_asleep() const {
  if (!queue_.asleep()) return false;
  const auto was_under_way = [](const JobPtr& job) {
    return !queue::is_finished(job->state) && job->state != JobState::kPaused && job->state != JobState::kQueued;
  };
  return std::any_of(queue_.direct().begin(), queue_.direct().end(), was_under_way) ||
         std::any_of(queue_.entries().begin(), queue_.entries().end(), was_under_way);
}

double Jobs::rate() const {
  double rate = 0;
  for (const auto& [id, live] : live_) rate += live.progress.rate();
  return rate;
}

}  // namespace pullama
