#pragma once
// A token bucket over everything that is received: one for the whole daemon, one a job. A receiver takes before it goes on
// reading, so the line itself is slowed (TCP), not a buffer filled. Fair in turn over jobs, then over their connections.
// Thread-safe.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>

#include "daemon/io/clock.h"

namespace pullama::engine {

class RateLimit {
 public:
  explicit RateLimit(const io::Clock& clock, std::uint64_t bytes_per_second = 0);
  ~RateLimit();

  // 0: none. Waiters notice at once.
  void set_rate(std::uint64_t bytes_per_second);
  std::uint64_t rate() const;

  // Waits until `bytes` may pass for the job; false when stopped. Returns at once where there is no limit.
  bool take(std::uint64_t job, std::uint64_t bytes, std::stop_token stop);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pullama::engine
