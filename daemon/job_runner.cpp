#include "daemon/job_runner.h"

#include <exception>
#include <utility>

#include "daemon/io/thread_start.h"

namespace pullama {
namespace {

using Clock = std::chrono::steady_clock;

// Nothing that a transfer throws (memory, threads) may take the daemon with it.
template <class T, class F>
Result<T> guarded(const F& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return fail(ErrorCode::kInternal, std::string("the transfer ended unexpectedly: ") + e.what(),
                "try again, and report it if it happens twice");
  }
}

}  // namespace

JobRunner::JobRunner(Transfers& transfers, Post post, OnReports on_reports, OnEnd on_end)
    : transfers_(transfers), post_(std::move(post)), on_reports_(std::move(on_reports)), on_end_(std::move(on_end)) {}

JobRunner::~JobRunner() { stop_all(); }

void JobRunner::start(const queue::JobPtr& job) {
  auto relay = std::make_shared<ProgressRelay>(
      post_, [this, id = job->id](std::vector<engine::Report> reports) { on_reports_(id, std::move(reports)); });
  Run& run = runs_[job->id];
  run.relay = relay;
  auto thread = io::start_thread([this, job, relay](const std::stop_token& stop) {
    const auto begin = Clock::now();
    auto outcome = guarded<engine::PullSummary>([&] { return transfers_.run(*job, *relay, stop); });
    const auto duration = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
    post_([this, id = job->id, outcome = std::move(outcome), duration]() mutable {
      ended(id, std::move(outcome), duration);
    });
  });
  if (thread) {
    run.thread = std::move(*thread);
  } else {
    post_([this, id = job->id, error = thread.error()] { ended(id, fail(error), {}); });
  }
}

void JobRunner::ended(const std::string& id, Outcome outcome, std::chrono::milliseconds duration) {
  auto run = runs_.extract(id);
  if (run.mapped().thread.joinable()) run.mapped().thread.join();  // posting this was its last act
  run.mapped().relay->flush();
  on_end_(id, std::move(outcome), duration);
}

void JobRunner::stop(const std::string& id) {
  const auto run = runs_.find(id);
  if (run != runs_.end()) run->second.thread.request_stop();
}

void JobRunner::stop_all() {
  for (auto& [id, run] : runs_) run.thread.request_stop();
  for (auto& [number, thread] : plans_) thread.request_stop();
  for (const WaitingPlan& plan : std::exchange(waiting_plans_, {})) {
    post_([answer = plan.answer] { answer(fail(ErrorCode::kCancelled, "pullamad is stopping")); });
  }
}

void JobRunner::plan(const queue::JobPtr& job, PlanAnswer answer) {
  waiting_plans_.push_back({job, std::move(answer)});
  start_plans();
}

void JobRunner::start_plans() {
  while (!waiting_plans_.empty() && plans_.size() < kMaxPlans) {
    const WaitingPlan next = std::move(waiting_plans_.front());
    waiting_plans_.pop_front();
    const std::uint64_t number = next_plan_++;
    auto thread = io::start_thread([this, number, next](const std::stop_token& stop) {
      auto plan = guarded<engine::PullPlan>([&] { return transfers_.plan(*next.job, stop); });
      post_([this, number, plan = std::move(plan), answer = next.answer]() mutable {
        plans_.extract(number).mapped().join();
        start_plans();
        answer(std::move(plan));
      });
    });
    if (thread) {
      plans_[number] = std::move(*thread);
    } else {
      post_([answer = next.answer, error = thread.error()] { answer(fail(error)); });
    }
  }
}

}  // namespace pullama
