#pragma once
// A clock that tests turn. By hand: sleepers wait until advance() has passed their time. Or by itself: sleep_for()
// moves the time on and returns at once, so two hours of retries pass in no time. Thread-safe.

#include <condition_variable>
#include <mutex>

#include "daemon/io/clock.h"

namespace pullama::testing {

class FakeClock final : public io::Clock {
 public:
  enum class Mode { kByHand, kBySleeping };
  explicit FakeClock(Mode mode = Mode::kBySleeping) : mode_(mode) {}

  SteadyTime now() const override;
  WallTime wall() const override;
  Duration since_boot() const override;
  bool sleep_for(Duration duration, std::stop_token stop) const override;

  void advance(Duration duration);
  // The machine slept: wall time and since_boot() go on, now() does not.
  void suspend(Duration duration);
  // Somebody set the clock.
  void set_wall(WallTime time);
  // How many threads sleep now, by hand only; wait_for_sleepers returns when there are so many.
  std::size_t sleepers() const;
  void wait_for_sleepers(std::size_t count) const;
  // All that was slept and advanced since the start.
  Duration elapsed() const;

 private:
  const Mode mode_;
  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable_any changed_;
  mutable Duration elapsed_{0};
  mutable std::size_t sleepers_ = 0;
  Duration suspended_{0};
  WallTime wall_start_{std::chrono::seconds(1'790'000'000)};
};

}  // namespace pullama::testing
