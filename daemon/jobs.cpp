#include "daemon/jobs.h"

#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <utility>

namespace pullama {

using queue::JobPtr;
using queue::JobState;
namespace event = proto::event;

namespace {

Error finished_already(const queue::Job& job) {
  return {ErrorCode::kInvalidArgument, fmt::format("{} is already {}", job.model.display(), state_name(job.state)),
          job.state == JobState::kCompleted ? "" : fmt::format("start it again: pullama {}", job.model.display()), 0};
}

proto::JobKind wire(queue::JobKind kind) {
  return kind == queue::JobKind::kPush ? proto::JobKind::kPush : proto::JobKind::kPull;
}

std::vector<std::string> ids_of(const std::vector<JobPtr>& jobs) {
  std::vector<std::string> ids;
  for (const JobPtr& job : jobs) ids.push_back(job->id);
  return ids;
}

const Error kStopping{ErrorCode::kCancelled, "pullamad is stopping", "try again in a moment", 0};

}  // namespace

Jobs::Jobs(queue::QueueData data, bool asleep, Transfers& transfers, JobsPorts ports)
    : queue_(std::move(data), asleep),
      transfers_(transfers),
      ports_(std::move(ports)),
      published_revision_(queue_.queue_revision()),
      runner_(
          transfers, ports_.post,
          [this](const std::string& id, std::vector<engine::Report> reports) { on_reports(id, std::move(reports)); },
          [this](const std::string& id, JobRunner::Outcome outcome, std::chrono::milliseconds duration) {
            on_end(id, std::move(outcome), duration);
          }) {
  transfers_.set_rate(queue_.limits().rate);
}

void Jobs::publish(const queue::Job& job, proto::EventBody body) {
  ports_.publish(
      proto::Event{.seq = {}, .time = {}, .job = job.id, .model = job.model.display(), .body = std::move(body)});
}

void Jobs::publish_queue(const std::string& change, std::vector<std::string> ids) {
  if (published_revision_ == queue_.queue_revision()) return;
  published_revision_ = queue_.queue_revision();
  if (ids.size() > event::kMaxChangedIds) ids.resize(event::kMaxChangedIds);
  ports_.publish(
      proto::Event{.seq = {},
                   .time = {},
                   .job = {},
                   .model = {},
                   .body = event::QueueChanged{change, queue_.paused(), queue_.entries().size(), std::move(ids)}});
}

void Jobs::settle(std::function<void(Status)> then) {
  pump();
  publish_queue("state", {});
  ports_.save(queue_.data(), std::move(then));
}

template <class T>
void Jobs::answer_durably(Answer<T> answer, T value) {
  settle([answer = std::move(answer), value = std::move(value)](const Status& saved) {
    if (!saved) return answer(fail(saved.error()));
    answer(value);
  });
}

JobPtr Jobs::mark(const std::string& id, JobState to, std::optional<Error> error) {
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
  for (const JobPtr& job : queue_.interrupted()) activate(job->id, job->state != JobState::kQueued);
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
  live.bytes_before = live.progress.bytes_done();
  if (resumed) {
    publish(*job, event::JobResumed{});
  } else {
    publish(*job, event::JobStarted{wire(job->kind)});
  }
  runner_.start(job, queue_.limits());
}

void Jobs::pump() {
  if (stopping_) return;
  while (const JobPtr next = queue_.next_to_run()) activate(next->id, false);
}

void Jobs::start_pull(queue::NewJob wanted, std::optional<std::uint64_t> session, Answer<Accepted> answer) {
  if (stopping_) return answer(fail(kStopping));
  wake();
  const auto start = queue_.start_direct(std::move(wanted), ports_.now_ms());
  const std::string id = start.job->id;
  if (!start.joined) publish(*start.job, event::JobQueued{wire(start.job->kind), std::nullopt});
  if (session) live_[id].waiting_sessions.insert(*session);
  settle([this, id, joined = start.joined, answer = std::move(answer)](const Status& saved) {
    const JobPtr job = queue_.find(id);
    if (!saved && job && !joined && job->state == JobState::kQueued) {
      publish(*job, event::JobCancelled{});
      queue_.forget(id);
      live_.erase(id);
    }
    if (!saved) return answer(fail(saved.error()));
    // Durable, so accepted. Joined or not: who asks for a pull wants it to run now.
    const bool runs = runner_.running(id) && live_[id].goal == Goal::kNone;
    if (job && !queue::is_finished(job->state) && !runs && !stopping_) {
      activate(id, job->state != JobState::kQueued);
      settle();
    }
    answer(Accepted{id, joined});
  });
}

void Jobs::plan(queue::NewJob wanted, Answer<engine::PullPlan> answer) {
  if (stopping_) return answer(fail(kStopping));
  auto job = std::make_shared<queue::Job>(queue::Job{.id = "plan",
                                                     .kind = wanted.kind,
                                                     .model = std::move(wanted.model),
                                                     .models_dir = std::move(wanted.models_dir),
                                                     .options = std::move(wanted.options),
                                                     .error = std::nullopt,
                                                     .manifest = {}});
  runner_.plan(job, std::move(answer));
}

void Jobs::stop_run(const std::string& id, Goal goal, std::function<void()> then) {
  Live& live = live_[id];
  // A cancel outranks a pause that is under way; both outrank a stop of the queue.
  if (live.goal == Goal::kNone || live.goal == Goal::kRequeue || goal == Goal::kCancel) live.goal = goal;
  live.again = false;
  if (then) live.when_stopped.push_back(std::move(then));
  runner_.stop(id);
}

void Jobs::pause(const std::string& id, Answer<JobState> answer) {
  const JobPtr job = queue_.find(id);
  if (!job) return answer(fail(ErrorCode::kNotFound, fmt::format("there is no job {}", id)));
  if (queue::is_finished(job->state)) return answer(fail(finished_already(*job)));
  if (runner_.running(id)) {
    return stop_run(id, Goal::kPause, [this, id, answer = std::move(answer)]() mutable {
      const JobPtr now = queue_.find(id);
      answer_durably(std::move(answer), now ? now->state : JobState::kPaused);
    });
  }
  if (job->state != JobState::kPaused) {
    ++live_[id].turn;
    publish(*mark(id, JobState::kPaused), event::JobPaused{});
  }
  answer_durably(std::move(answer), JobState::kPaused);
}

void Jobs::resume(const std::string& id, Answer<JobState> answer) {
  if (stopping_) return answer(fail(kStopping));
  wake();
  const JobPtr job = queue_.find(id);
  if (!job) return answer(fail(ErrorCode::kNotFound, fmt::format("there is no job {}", id)));
  if (queue::is_finished(job->state)) return answer(fail(finished_already(*job)));
  const bool stops = runner_.running(id) && live_[id].goal != Goal::kNone;
  if (stops || job->state == JobState::kPaused || queue::is_waiting(job->state)) activate(id, true);
  answer_durably(std::move(answer), queue_.find(id)->state);
}

void Jobs::cancel_now(const JobPtr& job) {
  ++live_[job->id].turn;
  const JobPtr cancelled = mark(job->id, JobState::kCancelled);
  publish(*cancelled, event::JobCancelled{});
  if (job->started_ms != 0) remember(*cancelled, live_[job->id], nullptr);
  let_go(job->id);
}

void Jobs::cancel(const std::string& id, Answer<JobState> answer) {
  const JobPtr job = queue_.find(id);
  if (!job) return answer(fail(ErrorCode::kNotFound, fmt::format("there is no job {}", id)));
  if (job->state == JobState::kCompleted || job->state == JobState::kFailed) {
    return answer(fail(finished_already(*job)));
  }
  if (runner_.running(id)) {
    return stop_run(id, Goal::kCancel, [this, id, answer = std::move(answer)]() mutable {
      const JobPtr now = queue_.find(id);
      answer_durably(std::move(answer), now ? now->state : JobState::kCancelled);
    });
  }
  if (job->state != JobState::kCancelled) cancel_now(job);
  answer_durably(std::move(answer), JobState::kCancelled);
}

bool Jobs::waits_for(std::uint64_t session, const std::string& id) const {
  const auto live = live_.find(id);
  return live != live_.end() && live->second.waiting_sessions.contains(session);
}

void Jobs::detach(std::uint64_t session, const std::string& id) {
  for (auto& [known, live] : live_) {
    if (id.empty() || id == known) live.waiting_sessions.erase(session);
  }
}

void Jobs::add(const std::vector<queue::NewJob>& models, bool front, Answer<queue::Queue::AddResult> answer) {
  if (stopping_) return answer(fail(kStopping));
  auto result = queue_.add(models, front, ports_.now_ms());
  if (!result.added.empty()) {
    std::size_t position = queue_.position_of(result.added.front()->id);
    for (const JobPtr& job : result.added) publish(*job, event::JobQueued{wire(job->kind), position++});
  }
  publish_queue("added", ids_of(result.added));
  settle([this, result = std::move(result), answer = std::move(answer)](const Status& saved) {
    if (saved) return answer(result);
    for (const JobPtr& job : result.added) {
      const JobPtr now = queue_.find(job->id);
      if (now && now->state == JobState::kQueued) queue_.forget(job->id);
    }
    publish_queue("removed", ids_of(result.added));
    answer(fail(saved.error()));
  });
}

void Jobs::remove(const std::string& id, Answer<void> answer) {
  const auto removed = queue_.remove(id);
  if (!removed) return answer(fail(removed.error()));
  if (!queue::is_finished((*removed)->state)) publish(**removed, event::JobCancelled{});
  live_.erase(id);
  publish_queue("removed", {id});
  settle(std::move(answer));
}

void Jobs::move(const std::string& id, std::size_t to, Answer<void> answer) {
  if (auto moved = queue_.move(id, to); !moved) return answer(moved);
  publish_queue("moved", {id});
  settle(std::move(answer));
}

void Jobs::retry(const std::string& id, Answer<void> answer) {
  const auto again = queue_.retry(id);
  if (!again) return answer(fail(again.error()));
  for (const JobPtr& job : *again) {
    publish(*job, event::JobQueued{wire(job->kind), queue_.position_of(job->id)});
  }
  publish_queue("retried", ids_of(*again));
  settle(std::move(answer));
}

void Jobs::clear(Answer<void> answer) {
  const auto removed = queue_.clear();
  for (const JobPtr& job : removed) {
    if (!queue::is_finished(job->state)) publish(*job, event::JobCancelled{});
    live_.erase(job->id);
  }
  publish_queue("cleared", ids_of(removed));
  settle(std::move(answer));
}

void Jobs::start_queue(Answer<void> answer) {
  if (stopping_) return answer(fail(kStopping));
  wake();
  queue_.start();
  publish_queue("started", {});
  settle(std::move(answer));
}

void Jobs::stop_queue(bool after_current, Answer<void> answer) {
  const auto returned = queue_.stop();
  for (const JobPtr& job : returned) {
    ++live_[job->id].turn;
    live_[job->id].waiting_until.reset();
    publish(*job, event::JobQueued{wire(job->kind), queue_.position_of(job->id)});
  }
  if (!after_current) {
    for (const JobPtr& job : queue_.entries()) {
      if (job->state == JobState::kActive && runner_.running(job->id)) stop_run(job->id, Goal::kRequeue, {});
    }
  }
  publish_queue("stopped", ids_of(returned));
  settle(std::move(answer));
}

void Jobs::set_limits(const queue::Limits& limits, Answer<void> answer) {
  const bool changed = limits != queue_.limits();
  if (auto set = queue_.set_limits(limits); !set) return answer(set);
  transfers_.set_rate(limits.rate);
  if (changed) {
    ports_.publish(
        proto::Event{.seq = {},
                     .time = {},
                     .job = {},
                     .model = {},
                     .body = event::LimitsChanged{{limits.rate, limits.connections, limits.parallel_models}}});
  }
  settle(std::move(answer));
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
