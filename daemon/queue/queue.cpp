#include "daemon/queue/queue.h"

#include <fmt/core.h>
#include <algorithm>
#include <unordered_set>

namespace pullama::queue {
namespace {

// Names compare without regard to case, as files of a store on some systems do.
std::string key_of(JobKind kind, const ModelName& model, const std::string& models_dir) {
  std::string name = model.full();
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return fmt::format("{}\n{}\n{}", kind_name(kind), name, models_dir);
}
std::string key_of(const Job& job) { return key_of(job.kind, job.model, job.models_dir); }

Error no_such_job(const std::string& id) {
  return {ErrorCode::kNotFound, fmt::format("there is no job {}", id),
          "`pullama jobs` and `pullama queue list` show them"};
}

}  // namespace

Queue::Queue(QueueData data, bool asleep) : data_(std::move(data)), asleep_(asleep) {
  for (const auto* list : {&data_.entries, &data_.direct}) {
    for (const JobPtr& job : *list) insert_index(job);
  }
  settle();
}

void Queue::insert_index(const JobPtr& job) {
  by_id_[job->id] = job;
  if (!is_finished(job->state)) open_.try_emplace(key_of(*job), job->id);
}

void Queue::erase_index(const Job& job) {
  by_id_.erase(job.id);
  const auto open = open_.find(key_of(job));
  if (open != open_.end() && open->second == job.id) open_.erase(open);
}

JobPtr Queue::find(const std::string& id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}

JobPtr Queue::find_open(const ModelName& model) const {
  for (const auto* list : {&data_.direct, &data_.entries}) {
    for (const JobPtr& job : *list) {
      if (!is_finished(job->state) && job->model.equals_ignoring_case(model)) return job;
    }
  }
  return nullptr;
}

JobPtr Queue::find_open(JobKind kind, const ModelName& model, const std::string& models_dir) const {
  const auto it = open_.find(key_of(kind, model, models_dir));
  return it == open_.end() ? nullptr : find(it->second);
}

JobPtr Queue::at(std::size_t position) const {
  return position == 0 || position > data_.entries.size() ? nullptr : data_.entries[position - 1];
}

std::size_t Queue::position_of(const std::string& id) const {
  const JobPtr job = find(id);
  if (!job || !job->entry) return 0;
  const auto it = std::find(data_.entries.begin(), data_.entries.end(), job);
  return it == data_.entries.end() ? 0 : static_cast<std::size_t>(it - data_.entries.begin()) + 1;
}

JobPtr Queue::make(NewJob wanted, bool entry, std::int64_t now_ms) {
  auto job = std::make_shared<Job>(Job{.id = fmt::format("j{}", data_.next_id++),
                                       .kind = wanted.kind,
                                       .model = std::move(wanted.model),
                                       .models_dir = std::move(wanted.models_dir),
                                       .options = std::move(wanted.options),
                                       .entry = entry,
                                       .state = JobState::kQueued,
                                       .error = std::nullopt,
                                       .bytes_done = 0,
                                       .bytes_total = 0,
                                       .manifest = {},
                                       .added_ms = now_ms,
                                       .started_ms = 0,
                                       .finished_ms = 0});
  insert_index(job);
  return job;
}

Queue::AddResult Queue::add(const std::vector<NewJob>& models, bool front, std::int64_t now_ms) {
  AddResult result;
  std::unordered_set<std::string> renewed;
  for (const NewJob& wanted : models) {
    if (const JobPtr open = find_open(wanted.kind, wanted.model, wanted.models_dir)) {
      result.skipped.push_back({wanted.model, fmt::format("it is already {}", state_name(open->state))});
      continue;
    }
    if (data_.entries.size() + result.added.size() >= kMaxEntries) {
      result.skipped.push_back({wanted.model, fmt::format("the queue is full ({} entries)", kMaxEntries)});
      continue;
    }
    renewed.insert(key_of(wanted.kind, wanted.model, wanted.models_dir));
    result.added.push_back(make(wanted, true, now_ms));
  }
  if (result.added.empty()) return result;
  std::erase_if(data_.entries, [&](const JobPtr& job) {
    if (!is_finished(job->state) || !renewed.contains(key_of(*job))) return false;
    erase_index(*job);
    result.replaced.push_back(job->id);
    return true;
  });
  auto place = data_.entries.end();
  if (front) {
    place = std::find_if(data_.entries.begin(), data_.entries.end(),
                         [](const JobPtr& job) { return job->state == JobState::kQueued; });
  }
  data_.entries.insert(place, result.added.begin(), result.added.end());
  ++queue_revision_;
  return result;
}

Result<JobPtr> Queue::remove(const std::string& id) {
  const JobPtr job = find(id);
  if (!job) return fail(no_such_job(id));
  if (!job->entry) return fail(ErrorCode::kInvalidArgument, fmt::format("{} is not an entry of the queue", id));
  if (transferred_now(*job)) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is being transferred", job->model.display()),
                fmt::format("cancel it first: pullama cancel {}", job->model.display()));
  }
  std::erase(data_.entries, job);
  erase_index(*job);
  ++queue_revision_;
  settle();
  return job;
}

Status Queue::move(const std::string& id, std::size_t to) {
  const std::size_t from = position_of(id);
  if (from == 0) return fail(no_such_job(id));
  if (to == 0 || to > data_.entries.size()) {
    return fail(ErrorCode::kNotFound,
                fmt::format("there is no position {} in the queue, it has {} entries", to, data_.entries.size()));
  }
  if (to == from) return {};
  const auto begin = data_.entries.begin();
  const auto source = begin + static_cast<std::ptrdiff_t>(from - 1);
  const auto target = begin + static_cast<std::ptrdiff_t>(to - 1);
  if (from < to) {
    std::rotate(source, source + 1, target + 1);
  } else {
    std::rotate(target, source, source + 1);
  }
  ++queue_revision_;
  return {};
}

Result<std::vector<JobPtr>> Queue::retry(const std::optional<std::string>& id) {
  std::vector<JobPtr> again;
  const auto put_back = [&](const JobPtr& job) {
    if (find_open(job->kind, job->model, job->models_dir)) return;  // pulled directly meanwhile
    if (auto marked = mark(job->id, JobState::kQueued, 0)) again.push_back(*marked);
  };
  if (!id) {
    const std::vector<JobPtr> all = data_.entries;
    for (const JobPtr& job : all) {
      if (job->state == JobState::kFailed) put_back(job);
    }
    return again;
  }
  const JobPtr job = find(*id);
  if (!job || !job->entry) return fail(no_such_job(*id));
  const bool shown_queued = asleep_ && (job->state == JobState::kActive || is_waiting(job->state));
  if (job->state == JobState::kQueued || shown_queued) return again;
  if (job->state != JobState::kFailed && job->state != JobState::kCancelled) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is {}, only failed entries can be tried again",
                                                         job->model.display(), state_name(job->state)));
  }
  put_back(job);
  return again;
}

std::vector<JobPtr> Queue::clear() {
  std::vector<JobPtr> removed;
  std::erase_if(data_.entries, [&](const JobPtr& job) {
    if (transferred_now(*job)) return false;
    removed.push_back(job);
    erase_index(*job);
    return true;
  });
  if (!removed.empty()) {
    ++queue_revision_;
    settle();
  }
  return removed;
}

bool Queue::start() {
  asleep_ = false;
  if (!data_.paused) return false;
  data_.paused = false;
  ++queue_revision_;
  settle();
  return true;
}

std::vector<JobPtr> Queue::stop() {
  std::vector<JobPtr> returned;
  const std::vector<JobPtr> all = data_.entries;
  for (const JobPtr& job : all) {
    if (!is_waiting(job->state)) continue;
    if (auto marked = mark(job->id, JobState::kQueued, 0)) returned.push_back(*marked);
  }
  if (!data_.paused) {
    data_.paused = true;
    ++queue_revision_;
  }
  return returned;
}

Queue::StartResult Queue::start_direct(NewJob wanted, std::int64_t now_ms) {
  if (const JobPtr open = find_open(wanted.kind, wanted.model, wanted.models_dir)) {
    if (open->state == JobState::kActive && !asleep_) return {open, true};
    auto job = std::make_shared<Job>(*open);
    job->options = std::move(wanted.options);
    replace(job);
    return {job, true};
  }
  JobPtr job = make(std::move(wanted), false, now_ms);
  data_.direct.push_back(job);
  return {job, false};
}

void Queue::forget(const std::string& id) {
  const JobPtr job = find(id);
  if (!job) return;
  std::erase(data_.entries, job);
  std::erase(data_.direct, job);
  erase_index(*job);
  if (job->entry) ++queue_revision_;
}

JobPtr Queue::next_to_run() const {
  if (data_.paused || asleep_) return nullptr;
  JobPtr next;
  unsigned active = 0;
  for (const JobPtr& job : data_.entries) {
    if (job->state == JobState::kActive) ++active;
    if (!next && job->state == JobState::kQueued) next = job;
  }
  return active < data_.limits.parallel_models ? next : nullptr;
}

std::vector<JobPtr> Queue::interrupted() const {
  std::vector<JobPtr> jobs;
  for (const auto* list : {&data_.direct, &data_.entries}) {
    for (const JobPtr& job : *list) {
      // A direct job is queued only between being accepted and being started.
      const bool accepted = !job->entry && job->state == JobState::kQueued;
      if (job->state == JobState::kActive || is_waiting(job->state) || accepted) jobs.push_back(job);
    }
  }
  return jobs;
}

std::size_t Queue::count(JobState state) const {
  const auto number =
      std::count_if(by_id_.begin(), by_id_.end(), [state](const auto& item) { return item.second->state == state; });
  return static_cast<std::size_t>(number);
}

Result<JobPtr> Queue::mark(const std::string& id, JobState to, std::int64_t now_ms, std::optional<Error> error) {
  const JobPtr old = find(id);
  if (!old) return fail(no_such_job(id));
  if (!may_follow(old->state, to)) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is {} and cannot become {}", old->model.display(),
                                                         state_name(old->state), state_name(to)));
  }
  auto job = std::make_shared<Job>(*old);
  job->state = to;
  job->error = to == JobState::kFailed || is_waiting(to) ? std::move(error) : std::nullopt;
  if (to == JobState::kActive && job->started_ms == 0) job->started_ms = now_ms;
  if (to == JobState::kQueued) job->started_ms = 0;
  job->finished_ms = is_finished(to) ? now_ms : 0;
  replace(job);
  if (is_finished(to)) drop_finished();
  settle();
  return JobPtr(job);
}

void Queue::note_manifest(const std::string& id, const std::string& digest) {
  const JobPtr old = find(id);
  if (!old || old->manifest == digest) return;
  auto job = std::make_shared<Job>(*old);
  job->manifest = digest;
  replace(job);
}

void Queue::note_figures(const std::string& id, std::uint64_t bytes_done, std::uint64_t bytes_total) {
  const JobPtr old = find(id);
  if (!old || (old->bytes_done == bytes_done && old->bytes_total == bytes_total)) return;
  auto job = std::make_shared<Job>(*old);
  job->bytes_done = bytes_done;
  job->bytes_total = bytes_total;
  replace(job);
}

void Queue::replace(const JobPtr& job) {
  const JobPtr old = find(job->id);
  auto& list = job->entry ? data_.entries : data_.direct;
  std::replace(list.begin(), list.end(), old, job);
  if (job->entry && old->state != job->state) ++queue_revision_;
  erase_index(*old);
  insert_index(job);
}

void Queue::drop_finished() {
  const auto trim = [this](std::vector<JobPtr>& list, std::size_t keep, auto droppable) {
    const auto finished = static_cast<std::size_t>(std::count_if(list.begin(), list.end(), droppable));
    if (finished <= keep) return;
    std::size_t surplus = finished - keep;
    std::erase_if(list, [&](const JobPtr& job) {
      if (surplus == 0 || !droppable(job)) return false;
      --surplus;
      erase_index(*job);
      return true;
    });
  };
  trim(data_.entries, kMaxFinishedEntries,
       [](const JobPtr& job) { return job->state == JobState::kCompleted || job->state == JobState::kCancelled; });
  trim(data_.direct, kMaxFinishedDirect, [](const JobPtr& job) { return is_finished(job->state); });
}

// A queue with nothing left to do is paused.
void Queue::settle() {
  if (data_.paused) return;
  for (const JobPtr& job : data_.entries) {
    if (job->state == JobState::kQueued || job->state == JobState::kActive || is_waiting(job->state)) return;
  }
  data_.paused = true;
  ++queue_revision_;
}

Status Queue::set_limits(const Limits& limits) {
  if (limits.connections > kMaxConnections) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("connections must be 0 to {}", kMaxConnections));
  }
  if (limits.parallel_models < 1 || limits.parallel_models > kMaxParallelModels) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("parallel_models must be 1 to {}", kMaxParallelModels));
  }
  data_.limits = limits;
  return {};
}

}  // namespace pullama::queue
