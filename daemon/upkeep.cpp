#include "daemon/upkeep.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <utility>

#include "common/printable.h"
#include "daemon/io/thread_start.h"

namespace pullama {

namespace event = proto::event;
using proto::JobState;

namespace {

constexpr std::size_t kFinishedRemembered = 16;

Error never_began() { return {ErrorCode::kCancelled, "stopped before it began", "", 0}; }

}  // namespace

struct Upkeep::Job {
  std::string id;
  UpkeepTask task;
  std::uint64_t thread = 0;
  std::shared_ptr<Voice> voice;
  JobProgress progress;
  JobState state = JobState::kQueued;
  std::optional<Error> error;
  proto::Time created = proto::now();
  std::optional<proto::Time> started, finished;
  bool cancelled = false;
  std::vector<std::function<void(JobState)>> waiting;
};

// Reports go the way of a transfer's: in order, in batches, never holding up who reports.
class Upkeep::Voice final : public UpkeepVoice, public std::enable_shared_from_this<Upkeep::Voice> {
 public:
  Voice(Upkeep& owner, std::string id) : owner_(owner), id_(std::move(id)) {}

  const std::string& job() const override { return id_; }

  engine::ProgressSink& about(const std::string& model) override {
    const std::lock_guard lock(mutex_);
    auto& relay = relays_[model];
    if (!relay) {
      relay = std::make_shared<ProgressRelay>(
          owner_.ports_.post,
          [this, model](const std::vector<engine::Report>& reports) { owner_.on_reports(id_, model, reports); });
    }
    return *relay;
  }

  void expect(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes) override {
    owner_.ports_.post([self = shared_from_this(), blobs, total_bytes] {
      const auto job = self->owner_.jobs_.find(self->id_);
      if (job != self->owner_.jobs_.end()) job->second->progress.expect(blobs, total_bytes);
    });
  }

  void tell(proto::EventBody body) override {
    owner_.ports_.post([self = shared_from_this(), body = std::move(body)]() mutable {
      const auto job = self->owner_.jobs_.find(self->id_);
      if (job != self->owner_.jobs_.end()) self->owner_.publish(*job->second, {}, std::move(body));
    });
  }

  // Control thread: what is still pending.
  void flush() {
    std::map<std::string, std::shared_ptr<ProgressRelay>> relays;
    {
      const std::lock_guard lock(mutex_);
      relays = relays_;
    }
    for (auto& [model, relay] : relays) relay->flush();
  }

 private:
  Upkeep& owner_;
  const std::string id_;
  std::mutex mutex_;  // guards relays_
  std::map<std::string, std::shared_ptr<ProgressRelay>> relays_;
};

Upkeep::Upkeep(UpkeepPorts ports) : ports_(std::move(ports)) {}

Upkeep::~Upkeep() { request_stop(); }

void Upkeep::publish(const Job& job, const std::string& model, proto::EventBody body) const {
  ports_.publish(proto::Event{.seq = {}, .time = {}, .job = job.id, .model = model, .body = std::move(body)});
}

Status Upkeep::room_for_one_more() const {
  if (waiting_.size() < kMaxWaiting) return {};
  return fail(ErrorCode::kInvalidArgument, "too many jobs wait for their turn: " + std::to_string(waiting_.size()),
              "`pullama jobs` shows them; ask again when some have ended");
}

Result<proto::StartResult> Upkeep::start(UpkeepTask task) {
  proto::StartResult result;
  for (const auto& [id, job] : jobs_) {
    const bool same =
        job->task.kind == task.kind && job->task.models_dir == task.models_dir && job->task.key == task.key;
    if (!same || proto::is_finished(job->state) || job->cancelled) continue;
    result.job = id;
    result.joined = true;
    return result;
  }
  if (auto room = room_for_one_more(); !room) return fail(room.error());
  auto job = std::make_unique<Job>();
  job->id = "u" + std::to_string(next_);
  job->task = std::move(task);
  job->voice = std::make_shared<Voice>(*this, job->id);
  result.job = job->id;
  publish(*job, job->task.model, event::JobQueued{job->task.kind, std::nullopt});
  const std::string id = job->id;
  Job& added = *(jobs_[id] = std::move(job));
  Work work;
  work.run = [this, id, voice = added.voice, work = added.task.work](const std::stop_token& stop) -> Finish {
    const auto begin = std::chrono::steady_clock::now();
    Result<UpkeepSummary> outcome = UpkeepSummary{};
    try {
      outcome = work(*voice, stop);
    } catch (const std::exception& e) {  // memory, threads: the daemon goes on
      outcome = fail(ErrorCode::kInternal, std::string("the job ended unexpectedly: ") + e.what(),
                     "try again, and report it if it happens twice");
    }
    const auto duration =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    return [this, id, outcome = std::move(outcome), duration] { finish(id, outcome, duration); };
  };
  work.begun = [this, id] { begin(id); };
  work.refused = [this, id](const Error& error) { finish(id, fail(error), {}); };
  added.thread = run(std::move(work));
  return result;
}

std::uint64_t Upkeep::run(Work work) {
  const std::uint64_t number = work.number = next_++;
  waiting_.push_back(std::move(work));
  start_waiting();
  return number;
}

void Upkeep::start_waiting() {
  while (!waiting_.empty() && threads_.size() < kMaxThreads) {
    const Work next = std::move(waiting_.front());
    waiting_.pop_front();
    auto thread = io::start_thread([this, number = next.number, run = next.run](const std::stop_token& stop) {
      Finish finish = run(stop);
      ports_.post([this, number, finish = std::move(finish)] { ended(number, finish); });
    });
    if (thread) {
      threads_[next.number] = std::move(*thread);
      next.begun();
    } else {
      ports_.post([refused = next.refused, error = thread.error()] { refused(error); });
    }
  }
}

void Upkeep::begin(const std::string& id) {
  Job& job = *jobs_.at(id);
  job.state = JobState::kActive;
  job.started = proto::now();
  publish(job, job.task.model, event::JobStarted{job.task.kind});
}

void Upkeep::ended(std::uint64_t number, const Finish& finish) {
  threads_.extract(number).mapped().join();  // posting this was its last act
  start_waiting();
  finish();
  if (threads_.empty() && when_idle_) std::exchange(when_idle_, nullptr)();
}

void Upkeep::on_reports(const std::string& id, const std::string& model, const std::vector<engine::Report>& reports) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return;
  Job& job = *at->second;
  for (const engine::Report& report : reports) {
    publish(job, model, job.progress.apply(report));
    if (!std::holds_alternative<engine::ManifestWritten>(report)) continue;
    ports_.publish(proto::Event{.seq = {},
                                .time = {},
                                .job = {},
                                .model = {},
                                .body = event::StoreChanged{job.task.models_dir, "written", {model}}});
  }
}

void Upkeep::finish(const std::string& id, const Result<UpkeepSummary>& outcome, std::chrono::milliseconds duration) {
  Job& job = *jobs_.at(id);
  job.voice->flush();
  job.progress.stopped();
  job.finished = proto::now();
  if (outcome) {
    job.state = JobState::kCompleted;
    job.progress.completed();
    publish(job, job.task.model,
            event::JobCompleted{.kind = job.task.kind,
                                .total_bytes = outcome->total_bytes,
                                .fetched_bytes = outcome->fetched_bytes,
                                .saved_bytes = outcome->saved_bytes,
                                .blobs = outcome->blobs,
                                .retries = outcome->retries,
                                .elapsed = duration});
  } else if (job.cancelled || outcome.error().code == ErrorCode::kCancelled) {
    job.state = JobState::kCancelled;
    publish(job, job.task.model, event::JobCancelled{});
  } else {
    job.state = JobState::kFailed;
    job.error = outcome.error();
    job.error->message = printable(job.error->message, 2048);
    publish(job, job.task.model, event::JobFailed{*job.error});
  }
  for (const auto& answer : std::exchange(job.waiting, {})) answer(job.state);
  finished_.push_back(id);
  if (finished_.size() <= kFinishedRemembered) return;
  jobs_.erase(finished_.front());
  finished_.pop_front();
}

std::optional<proto::JobSnapshot> Upkeep::find(const std::string& id) const {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return std::nullopt;
  const Job& job = *at->second;
  proto::JobSnapshot snapshot;
  snapshot.id = job.id;
  snapshot.kind = job.task.kind;
  snapshot.model = job.task.model;
  snapshot.models_dir = job.task.models_dir;
  snapshot.state = job.state;
  snapshot.error = job.error;
  snapshot.created = job.created;
  snapshot.started = job.started;
  snapshot.finished = job.finished;
  job.progress.show(snapshot);
  return snapshot;
}

void Upkeep::cancel(const std::string& id, std::function<void(JobState)> answer) {
  const auto at = jobs_.find(id);
  if (at == jobs_.end()) return answer(JobState::kCancelled);
  Job& job = *at->second;
  if (proto::is_finished(job.state)) return answer(job.state);
  job.cancelled = true;
  job.waiting.push_back(std::move(answer));
  const auto waits = std::ranges::find(waiting_, job.thread, &Work::number);
  if (waits != waiting_.end()) {
    waiting_.erase(waits);
    return finish(id, fail(never_began()), {});
  }
  if (const auto thread = threads_.find(job.thread); thread != threads_.end()) thread->second.request_stop();
}

void Upkeep::add_to(std::vector<proto::JobSnapshot>& jobs) const {
  for (const auto& [id, job] : jobs_) jobs.push_back(*find(id));
}

void Upkeep::count_in(proto::JobCounts& counts) const {
  for (const auto& [id, job] : jobs_) proto::count_job(counts, job->state);
}

double Upkeep::rate() const {
  double rate = 0;
  for (const auto& [id, job] : jobs_) {
    if (job->task.kind == proto::JobKind::kUpdate) rate += job->progress.rate();  // the others' is no bandwidth
  }
  return rate;
}

void Upkeep::request_stop() {
  for (auto& [number, thread] : threads_) thread.request_stop();
  for (const Work& work : std::exchange(waiting_, {})) {
    ports_.post([refused = work.refused] { refused(never_began()); });
  }
}

void Upkeep::shut_down(std::function<void()> done) {
  request_stop();
  if (threads_.empty()) return done();
  when_idle_ = std::move(done);
}

}  // namespace pullama
