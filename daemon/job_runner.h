#pragma once
// Runs transfers, each on a thread of its own, and says on the control thread when one has ended. What its end means
// is the caller's business (jobs.h). A thread that the system refuses is the end of its run, never the daemon's.
// Control thread only, but for what it runs.

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "daemon/progress_relay.h"
#include "daemon/transfers.h"

namespace pullama {

class JobRunner {
 public:
  // Each run costs ten threads and as many connections. What is started beyond has its turn later (jobs.h).
  static constexpr std::size_t kMaxAskedRuns = 64;
  static constexpr std::size_t kMaxPlans = 64;

  using Post = ProgressRelay::Post;
  using Outcome = Result<engine::PullSummary>;
  using OnReports = std::function<void(const std::string& id, std::vector<engine::Report>)>;
  using OnEnd = std::function<void(const std::string& id, Outcome, std::chrono::milliseconds)>;
  using PlanAnswer = std::function<void(Result<engine::PullPlan>)>;

  JobRunner(Transfers& transfers, Post post, OnReports on_reports, OnEnd on_end);
  ~JobRunner();  // stops all and waits for them
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Precondition: !running(job.id).
  void start(const queue::JobPtr& job);
  bool running(const std::string& id) const { return runs_.contains(id); }
  // For one more that somebody asked for, beside what the queue runs in its order.
  bool has_room() const { return runs_.size() < kMaxAskedRuns; }
  std::size_t count() const { return runs_.size() + plans_.size(); }
  // Asks it to end; on_end follows. Nothing for one that does not run.
  void stop(const std::string& id);
  void stop_all();

  // Answers on the control thread, in a later turn. `job` is never put into the queue. Beyond kMaxPlans they wait for
  // one another.
  void plan(const queue::JobPtr& job, PlanAnswer answer);

 private:
  struct Run {
    std::shared_ptr<ProgressRelay> relay;
    std::jthread thread;
  };
  struct WaitingPlan {
    queue::JobPtr job;
    PlanAnswer answer;
  };
  void ended(const std::string& id, Outcome outcome, std::chrono::milliseconds duration);
  void start_plans();

  Transfers& transfers_;
  const Post post_;
  const OnReports on_reports_;
  const OnEnd on_end_;
  std::map<std::string, Run> runs_;
  std::map<std::uint64_t, std::jthread> plans_;
  std::deque<WaitingPlan> waiting_plans_;
  std::uint64_t next_plan_ = 1;
};

}  // namespace pullama
