#pragma once
// Runs transfers, each on a thread of its own, and says on the control thread when one has ended. What its end means
// is the caller's business (jobs.h). Control thread only, but for what it runs.

#include <chrono>
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
  using Post = ProgressRelay::Post;
  using Outcome = Result<engine::PullSummary>;
  using OnReports = std::function<void(const std::string& id, std::vector<engine::Report>)>;
  using OnEnd = std::function<void(const std::string& id, Outcome, std::chrono::milliseconds)>;

  JobRunner(Transfers& transfers, Post post, OnReports on_reports, OnEnd on_end);
  ~JobRunner();  // stops all and waits for them
  JobRunner(const JobRunner&) = delete;
  JobRunner& operator=(const JobRunner&) = delete;

  // Precondition: !running(job.id).
  void start(const queue::JobPtr& job, const queue::Limits& limits);
  bool running(const std::string& id) const { return runs_.contains(id); }
  std::size_t count() const { return runs_.size() + plans_.size(); }
  // Asks it to end; on_end follows. Nothing for one that does not run.
  void stop(const std::string& id);
  void stop_all();

  // Answers on the control thread. `job` is never put into the queue.
  void plan(const queue::JobPtr& job, std::function<void(Result<engine::PullPlan>)> answer);

 private:
  struct Run {
    std::shared_ptr<ProgressRelay> relay;
    std::jthread thread;
  };
  void ended(const std::string& id, Outcome outcome, std::chrono::milliseconds duration);

  Transfers& transfers_;
  const Post post_;
  const OnReports on_reports_;
  const OnEnd on_end_;
  std::map<std::string, Run> runs_;
  std::map<std::uint64_t, std::jthread> plans_;
  std::uint64_t next_plan_ = 1;
};

}  // namespace pullama
