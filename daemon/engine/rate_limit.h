#pragma once
// A token bucket over everything that is received: one for the whole daemon, one a job. A receiver takes before it goes
// on reading, so the line itself is slowed (TCP), not a buffer filled. Fair in turn over jobs, then over their
// connections. Thread-safe.

#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <stop_token>

#include "daemon/io/clock.h"

namespace pullama::engine {

// A number for take() that no other job of this process has.
std::uint64_t next_rate_job();

class RateLimit {
 public:
  // A waiter asks for at most this much at a time, so that turns are short.
  static constexpr std::uint64_t kMaxTakeBytes = 64ULL << 10;

  explicit RateLimit(const io::Clock& clock, std::uint64_t bytes_per_second = 0);

  // 0: none. Waiters notice at once.
  void set_rate(std::uint64_t bytes_per_second);
  std::uint64_t rate() const;

  // Waits until `bytes` may pass for the job; false when stopped. Returns at once where there is no limit. Larger
  // amounts are taken in turns of kMaxTakeBytes.
  bool take(std::uint64_t job, std::uint64_t bytes, std::stop_token stop);

 private:
  struct Waiter {
    std::uint64_t bytes = 0;
    bool granted = false;
  };
  // What comes in is shared equally among the jobs at work, so that a job with one connection gets as much as one with
  // sixteen; what a job does not use others may.
  struct Job {
    double tokens = 0;
    std::list<Waiter*> waiting;
    io::Clock::SteadyTime seen;
  };
  bool take_turn(std::uint64_t job, std::uint64_t bytes, const std::stop_token& stop);
  void refill_locked();
  // Grants in turn over jobs while tokens last; returns how long until the next grant.
  io::Clock::Duration grant_locked();

  const io::Clock& clock_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::uint64_t rate_ = 0;
  double spare_ = 0;
  io::Clock::SteadyTime refilled_;
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t last_job_ = 0;  // whose turn it was
};

}  // namespace pullama::engine
