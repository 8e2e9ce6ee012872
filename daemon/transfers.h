#pragma once
// What a job does while it is active, as the runner sees it: the engine for real traffic (pull_transfers.h), a script
// in tests. Both calls block and are made on a thread of the job's own; several at once.

#include <cstdint>
#include <stop_token>

#include "common/result.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/queue/job.h"

namespace pullama {

class Transfers {
 public:
  virtual ~Transfers() = default;
  // Ends within 100 ms of a stop plus one sync, a push within a second (engine/push.h), with kCancelled.
  virtual Result<engine::PullSummary> run(const queue::Job& job, engine::ProgressSink& sink, std::stop_token stop) = 0;
  // The answer of a dry run; changes nothing on disk.
  virtual Result<engine::PullPlan> plan(const queue::Job& job, std::stop_token stop) = 0;
  // Bytes a second over all transfers, 0: none. Any thread; does not block.
  virtual void set_rate(std::uint64_t bytes_per_second) = 0;
  // To one blob where a job names no number of its own, 0: found out. Reaches running transfers within 100 ms. Any
  // thread; does not block.
  virtual void set_connections(unsigned count) = 0;
  // Room on the disk of a models dir. Blocking.
  virtual Result<std::uint64_t> free_bytes(const std::string& models_dir) = 0;
};

}  // namespace pullama
