#pragma once
// From the workers of one job to the control thread: takes reports on any thread, thins them, and hands them over in
// order and in batches. A worker is never held up: it appends to a list under a mutex that nobody holds while working.

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/engine/progress.h"

namespace pullama {

class ProgressRelay final : public engine::ProgressSink, public std::enable_shared_from_this<ProgressRelay> {
 public:
  using Post = std::function<void(std::function<void()>)>;  // runs a function on the control thread
  using Deliver = std::function<void(std::vector<engine::Report>)>;

  // Beyond so many undelivered reports, traces are dropped; samples replace older ones at any time.
  static constexpr std::size_t kMaxPendingTraces = 1024;

  ProgressRelay(Post post, Deliver deliver) : post_(std::move(post)), deliver_(std::move(deliver)) {}

  void report(const engine::Report& report) override;
  // Control thread: delivers now what is pending, so that a job's end comes after its last report.
  void flush();

 private:
  const Post post_;
  const Deliver deliver_;
  std::mutex mutex_;  // guards the next two
  std::vector<engine::Report> pending_;
  bool posted_ = false;
};

}  // namespace pullama
