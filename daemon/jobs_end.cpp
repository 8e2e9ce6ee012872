// What the end of a run means: completed, failed, stopped on request, or to be tried again by itself.
#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <algorithm>

#include "daemon/engine/space.h"
#include "daemon/jobs.h"
#include "proto/errors.h"

namespace pullama {

using queue::JobPtr;
using queue::JobState;
using std::chrono::milliseconds;
using std::chrono::seconds;
namespace event = proto::event;

namespace {

constexpr std::size_t kFinishedRemembered = 16;
constexpr seconds kFirstNetworkWait{10};
constexpr seconds kLongestWait{120};
constexpr seconds kSpaceInterval{3};
// Quotas and our own estimate may be wrong: look whether it goes on after all.
constexpr std::chrono::minutes kSpaceGivesUpGuessing{10};

template <class Duration>
Duration doubled(Duration first, unsigned times) {
  return std::min<Duration>(first * (1U << std::min(times, 6U)), kLongestWait);
}

proto::Time time_at(std::int64_t ms) { return proto::Time(milliseconds(ms)); }

}  // namespace

void Jobs::on_reports(const std::string& id, const std::vector<engine::Report>& reports) {
  const JobPtr job = queue_.find(id);
  if (!job) return;
  Live& live = live_[id];
  for (const engine::Report& report : reports) {
    publish(*job, live.progress.apply(report));
    const auto* fetched = std::get_if<engine::ManifestFetched>(&report);
    if (fetched != nullptr && fetched->digest.str() != job->manifest) {
      queue_.note_manifest(id, fetched->digest.str());
      settle();
    }
  }
}

void Jobs::on_end(const std::string& id, JobRunner::Outcome outcome, milliseconds duration) {
  const JobPtr job = queue_.find(id);
  Live& live = live_[id];
  const Goal goal = std::exchange(live.goal, Goal::kNone);
  const bool again = std::exchange(live.again, false);
  auto when_stopped = std::exchange(live.when_stopped, {});
  live.worked += duration;
  live.progress.stopped();
  if (live.progress.bytes_done() > live.bytes_before) live.failures = 0;
  if (outcome) {
    completed(job, live, *outcome);
  } else if (goal == Goal::kShutdown ||
             (stopping_ && goal == Goal::kNone && outcome.error().code == ErrorCode::kCancelled)) {
    // Stays active in queue.json and goes on at the next start.
  } else if (again) {
    activate(id, true);
  } else if (goal == Goal::kPause) {
    publish(*mark(id, JobState::kPaused), event::JobPaused{});
  } else if (goal == Goal::kCancel) {
    cancel_now(job);
  } else if (goal == Goal::kRequeue && job->entry) {
    const JobPtr queued = mark(id, JobState::kQueued);
    publish(*queued, event::JobQueued{wire_kind(job->kind), queue_.position_of(id)});
  } else {
    failed(job, live, std::move(outcome.error()));
  }
  settle();
  for (const auto& action : when_stopped) action();
  if (runner_.count() == 0 && when_idle_) std::exchange(when_idle_, nullptr)();
}

// A summary speaks of its own run only, and so does the time that the others took.
std::uint64_t Jobs::travelled(const Live& live, const engine::PullSummary* summary) {
  return std::max(live.progress.fetched_bytes(), summary != nullptr ? summary->fetched_bytes : 0);
}

void Jobs::completed(const JobPtr& job, Live& live, const engine::PullSummary& summary) {
  live.progress.completed();
  const JobPtr done = mark(job->id, JobState::kCompleted);
  publish(*done, event::JobCompleted{.kind = wire_kind(job->kind),
                                     .total_bytes = summary.total_bytes,
                                     .fetched_bytes = travelled(live, &summary),
                                     .saved_bytes = summary.saved_bytes,
                                     .blobs = summary.blob_count,
                                     .retries = std::max(summary.retries, live.progress.retries()),
                                     .elapsed = live.worked});
  if (job->kind == queue::JobKind::kPull) {
    ports_.publish(proto::Event{.seq = {},
                                .time = {},
                                .job = {},
                                .model = {},
                                .body = event::StoreChanged{job->models_dir, "written", {job->model.display()}}});
  }
  remember(*done, live, &summary);
  let_go(job->id);
}

void Jobs::failed(const JobPtr& job, Live& live, Error error) {
  spdlog::warn("{} ({}): {}", job->model.display(), job->id, error.message);
  if (error.code == ErrorCode::kDiskFull) return wait_for_space(job, live, std::move(error));
  const bool somebody_waits = !job->entry && !live.waiting_sessions.empty();
  if (error.code == ErrorCode::kNetwork && !somebody_waits) return wait_for_network(job, live, std::move(error));
  const JobPtr failed_job = mark(job->id, JobState::kFailed, error);
  publish(*failed_job, event::JobFailed{std::move(error)});
  remember(*failed_job, live, nullptr);
  let_go(job->id);
}

void Jobs::wait_for_network(const JobPtr& job, Live& live, Error error) {
  const milliseconds pause = doubled<milliseconds>(kFirstNetworkWait, live.failures++);
  const std::uint64_t turn = ++live.turn;
  live.waiting_until = time_at(ports_.now_ms() + pause.count());
  const JobPtr waiting = mark(job->id, JobState::kWaitingNetwork, error);
  publish(*waiting, event::JobWaiting{proto::JobState::kWaitingNetwork, error.message, live.waiting_until, error});
  ports_.after(pause, [this, id = job->id, turn] {
    const auto it = live_.find(id);
    if (stopping_ || it == live_.end() || it->second.turn != turn) return;
    activate_in_turn(id, false, true);
    settle();
  });
}

void Jobs::wait_for_space(const JobPtr& job, Live& live, Error error) {
  const std::uint64_t turn = ++live.turn;
  ++live.failures;
  live.free_before.reset();
  live.waiting_until.reset();
  const JobPtr waiting = mark(job->id, JobState::kWaitingSpace, error);
  publish(*waiting, event::JobWaiting{proto::JobState::kWaitingSpace, error.message, std::nullopt, error});
  // What is free now, before anybody can have tidied up: an increase is measured against it.
  ports_.storage([this, id = job->id, turn, dir = job->models_dir] {
    const auto free = transfers_.free_bytes(dir);
    ports_.post([this, id, turn, bytes = free ? *free : 0] {
      const auto known = live_.find(id);
      if (known != live_.end() && known->second.turn == turn) known->second.free_before = bytes;
    });
  });
  watch_space(job->id, turn, ports_.now_ms());
}

// Looks at the disk every few seconds, on the storage thread, until there is room for what is missing or clearly more
// than there was.
void Jobs::watch_space(const std::string& id, std::uint64_t turn, std::int64_t since_ms) {
  const milliseconds interval = doubled<milliseconds>(kSpaceInterval, live_[id].failures - 1);
  ports_.after(interval, [this, id, turn, since_ms] {
    const JobPtr job = queue_.find(id);
    const auto it = live_.find(id);
    if (stopping_ || !job || it == live_.end() || it->second.turn != turn) return;
    ports_.storage([this, id, turn, since_ms, dir = job->models_dir] {
      const auto free = transfers_.free_bytes(dir);
      const std::uint64_t bytes = free ? *free : 0;
      ports_.post([this, id, turn, since_ms, bytes] {
        const auto known = live_.find(id);
        if (stopping_ || known == live_.end() || known->second.turn != turn) return;
        Live& live = known->second;
        const std::uint64_t total = live.progress.bytes_total();
        const std::uint64_t missing = total - live.progress.bytes_done();
        const bool fits =
            total != 0 && bytes >= engine::kSpaceReserveBytes && bytes - engine::kSpaceReserveBytes >= missing;
        // What is allocated already is not missing, so less than the whole may do.
        const std::uint64_t before = live.free_before.value_or(bytes);
        const bool grew = bytes > before && bytes - before >= engine::kSpaceReserveBytes;
        const bool reserve_is_back = before < engine::kSpaceReserveBytes && bytes >= engine::kSpaceReserveBytes;
        const bool overdue = ports_.now_ms() - since_ms >= milliseconds(kSpaceGivesUpGuessing).count();
        live.free_before = std::min(before, bytes);
        if (!fits && !grew && !reserve_is_back && !overdue) return watch_space(id, turn, since_ms);
        activate_in_turn(id, false, true);
        settle();
      });
    });
  });
}

void Jobs::remember(const queue::Job& job, const Live& live, const engine::PullSummary* summary) {
  store::HistoryEntry entry;
  entry.job = job.id;
  entry.finished_ms = job.finished_ms;
  entry.kind = kind_name(job.kind);
  entry.model = job.model.display();
  entry.models_dir = job.models_dir;
  entry.result = state_name(job.state);
  if (job.error) entry.error = job.error->message;
  if (job.error) entry.error_kind = proto::kind_name(job.error->code);
  entry.total_bytes = summary != nullptr ? summary->total_bytes : live.progress.bytes_total();
  entry.transferred_bytes = travelled(live, summary);
  entry.saved_bytes = summary != nullptr ? summary->saved_bytes : live.progress.resumed_bytes();
  entry.duration_ms = live.worked.count();
  entry.retries = live.progress.retries();
  ports_.finished(entry);
  ports_.storage([remember = ports_.remember, entry = std::move(entry)] { remember(entry); });
}

// Who asks right after the end still sees all of it; later queue.json's few words must do.
void Jobs::let_go(const std::string& id) {
  std::erase(finished_, id);
  finished_.push_back(id);
  if (finished_.size() <= kFinishedRemembered) return;
  const JobPtr oldest = queue_.find(finished_.front());
  if (!oldest || queue::is_finished(oldest->state)) live_.erase(finished_.front());
  finished_.pop_front();
}

}  // namespace pullama
