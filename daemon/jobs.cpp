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

std::vector<std::string> ids_of(const std::vector<JobPtr>& jobs) {
  std::vector<std::string> ids;
  ids.reserve(jobs.size());
  for (const JobPtr& job : jobs) ids.push_back(job->id);
  return ids;
}

Error stopping_error() { return {ErrorCode::kCancelled, "pullamad is stopping", "try again in a moment", 0}; }

}  // namespace

Jobs::Jobs(queue::QueueData data, bool asleep, Transfers& transfers, JobsPorts ports)
    : queue_(std::move(data), asleep),
      transfers_(transfers),
      ports_(std::move(ports)),
      published_revision_(queue_.queue_revision()),
      runner_(
          transfers, ports_.post,
          [this](const std::string& id, const std::vector<engine::Report>& reports) { on_reports(id, reports); },
          [this](const std::string& id, JobRunner::Outcome outcome, std::chrono::milliseconds duration) {
            on_end(id, std::move(outcome), duration);
          }) {
  transfers_.set_rate(queue_.limits().rate);
  transfers_.set_connections(queue_.limits().connections);
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

void Jobs::start(queue::NewJob wanted, std::optional<std::uint64_t> session, Answer<Accepted> answer) {
  if (stopping_) return answer(fail(stopping_error()));
  if (queue_.direct().size() >= queue::Queue::kMaxDirect &&
      !queue_.find_open(wanted.kind, wanted.model, wanted.models_dir)) {
    return answer(fail(ErrorCode::kInvalidArgument,
                       fmt::format("{} transfers beside the queue are not finished yet", queue::Queue::kMaxDirect),
                       "cancel some of them, or wait: `pullama jobs` shows them"));
  }
  wake();
  const auto start = queue_.start_direct(wanted, ports_.now_ms());
  const std::string id = start.job->id;
  if (!start.joined) publish(*start.job, event::JobQueued{wire_kind(start.job->kind), std::nullopt});
  if (session) live_[id].waiting_sessions.insert(*session);
  settle([this, id, joined = start.joined, wanted = std::move(wanted), session,
          answer = std::move(answer)](const Status& saved) mutable {
    const JobPtr job = queue_.find(id);
    if (!saved && job && !joined && job->state == JobState::kQueued) {
      publish(*job, event::JobCancelled{});
      queue_.forget(id);
      live_.erase(id);
      settle();  // or the writer's next try would bring it back
    }
    if (!saved) return answer(fail(saved.error()));
    // Cancelled since by somebody else: that was not meant for who asks now.
    if (joined && (!job || job->state == JobState::kCancelled)) {
      return this->start(std::move(wanted), session, std::move(answer));
    }
    // Durable, so accepted. Joined or not: who asks for a transfer wants it to run now.
    const bool runs = runner_.running(id) && live_[id].goal == Goal::kNone;
    if (job && !queue::is_finished(job->state) && !runs && !stopping_) {
      activate_in_turn(id, true, job->state != JobState::kQueued);
      settle();
    }
    answer(Accepted{id, joined});
  });
}

void Jobs::plan(queue::NewJob wanted, Answer<engine::PullPlan> answer) {
  if (stopping_) return answer(fail(stopping_error()));
  auto job = std::make_shared<queue::Job>(queue::Job{.id = "plan",
                                                     .kind = wanted.kind,
                                                     .model = std::move(wanted.model),
                                                     .models_dir = std::move(wanted.models_dir),
                                                     .options = std::move(wanted.options),
                                                     .error = std::nullopt,
                                                     .bytes_done = 0,
                                                     .bytes_total = 0,
                                                     .manifest = {}});
  runner_.plan(job, [this, answer = std::move(answer)](Result<engine::PullPlan> plan) {
    answer(std::move(plan));
    if (runner_.count() == 0 && when_idle_) std::exchange(when_idle_, nullptr)();
  });
}

void Jobs::pause(const std::string& id, Answer<JobState> answer) {
  const JobPtr job = queue_.find(id);
  if (!job) return answer(fail(ErrorCode::kNotFound, fmt::format("there is no job {}", id)));
  if (queue::is_finished(job->state)) return answer(job->state);
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
  if (stopping_) return answer(fail(stopping_error()));
  wake();
  const JobPtr job = queue_.find(id);
  if (!job) return answer(fail(ErrorCode::kNotFound, fmt::format("there is no job {}", id)));
  if (queue::is_finished(job->state)) return answer(job->state);
  const bool stops = runner_.running(id) && live_[id].goal != Goal::kNone;
  if (stops || job->state == JobState::kPaused || queue::is_waiting(job->state)) activate_in_turn(id, false, true);
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
  if (job->state == JobState::kCompleted || job->state == JobState::kFailed) return answer(job->state);
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
  if (stopping_) return answer(fail(stopping_error()));
  auto result = queue_.add(models, front, ports_.now_ms());
  if (!result.added.empty()) {
    std::size_t position = queue_.position_of(result.added.front()->id);
    for (const JobPtr& job : result.added) publish(*job, event::JobQueued{wire_kind(job->kind), position++});
  }
  if (!result.replaced.empty()) {
    publish_queue("removed", result.replaced);
    --published_revision_;  // one change of the queue, told as two
  }
  publish_queue("added", ids_of(result.added));
  settle([this, result = std::move(result), answer = std::move(answer)](const Status& saved) {
    if (saved) return answer(result);
    for (const JobPtr& job : result.added) {
      const JobPtr now = queue_.find(job->id);
      if (!now || now->state != JobState::kQueued) continue;
      publish(*now, event::JobCancelled{});
      queue_.forget(job->id);
    }
    publish_queue("removed", ids_of(result.added));
    settle();  // or the writer's next try would bring them back
    answer(fail(saved.error()));
  });
}

void Jobs::save_first(const queue::Queue& as_it_would_be, Answer<void> answer, std::function<void(Answer<void>)> then) {
  ports_.save(as_it_would_be.data(), [this, answer = std::move(answer), then = std::move(then)](const Status& saved) {
    if (saved) return then(answer);
    ports_.save(queue_.data(), {});  // takes the place of what the writer would try again
    answer(fail(saved.error()));
  });
}

void Jobs::remove(const std::string& id, Answer<void> answer) {
  queue::Queue without = queue_;
  if (const auto removed = without.remove(id); !removed) return answer(fail(removed.error()));
  save_first(without, std::move(answer), [this, id](const Answer<void>& then) {
    const auto removed = queue_.remove(id);  // it may have begun meanwhile
    if (!removed) return settle([then, error = removed.error()](const Status&) { then(fail(error)); });
    if (!queue::is_finished((*removed)->state)) publish(**removed, event::JobCancelled{});
    live_.erase(id);
    publish_queue("removed", {id});
    settle(then);
  });
}

void Jobs::move(const std::string& id, std::size_t to, Answer<void> answer) {
  if (auto moved = queue_.move(id, to); !moved) return answer(moved);
  publish_queue("moved", {id});
  settle(std::move(answer));
}

void Jobs::retry(const std::optional<std::string>& id, Answer<void> answer) {
  const auto again = queue_.retry(id);
  if (!again) return answer(fail(again.error()));
  for (const JobPtr& job : *again) {
    publish(*job, event::JobQueued{wire_kind(job->kind), queue_.position_of(job->id)});
  }
  publish_queue("retried", ids_of(*again));
  settle(std::move(answer));
}

void Jobs::clear(Answer<void> answer) {
  queue::Queue without = queue_;
  without.clear();
  save_first(without, std::move(answer), [this](const Answer<void>& then) {
    const auto removed = queue_.clear();
    for (const JobPtr& job : removed) {
      if (!queue::is_finished(job->state)) publish(*job, event::JobCancelled{});
      live_.erase(job->id);
    }
    publish_queue("cleared", ids_of(removed));
    settle(then);
  });
}

void Jobs::start_queue(Answer<void> answer) {
  if (stopping_) return answer(fail(stopping_error()));
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
    publish(*job, event::JobQueued{wire_kind(job->kind), queue_.position_of(job->id)});
  }
  publish_queue("stopped", ids_of(returned));
  std::vector<std::string> active;
  for (const JobPtr& job : queue_.entries()) {
    if (!after_current && job->state == JobState::kActive && runner_.running(job->id)) active.push_back(job->id);
  }
  if (active.empty()) return settle(std::move(answer));
  settle();
  // An answer before they are back in the queue file would be wrong after a crash: what was active goes on.
  const auto left = std::make_shared<std::size_t>(active.size());
  for (const std::string& id : active) {
    stop_run(id, Goal::kRequeue, [this, left, answer] {
      if (--*left == 0) settle(answer);
    });
  }
}

void Jobs::apply_limits(const queue::Limits& limits) {
  transfers_.set_rate(limits.rate);
  transfers_.set_connections(limits.connections);
  ports_.publish(proto::Event{.seq = {},
                              .time = {},
                              .job = {},
                              .model = {},
                              .body = event::LimitsChanged{{limits.rate, limits.connections, limits.parallel_models}}});
}

void Jobs::set_limits(const queue::Limits& limits, Answer<void> answer) {
  const queue::Limits before = queue_.limits();
  if (auto set = queue_.set_limits(limits); !set) return answer(set);
  if (limits != before) apply_limits(limits);
  settle([this, before, limits, answer = std::move(answer)](const Status& saved) {
    if (!saved && limits != before && queue_.limits() == limits && queue_.set_limits(before)) {
      apply_limits(before);
      settle();
    }
    answer(saved);
  });
}

}  // namespace pullama
