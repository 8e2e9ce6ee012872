#pragma once
// Time, injected so that tests can make two hours pass in no time. Thread-safe.

#include <chrono>
#include <stop_token>

namespace pullama::io {

class Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  using SteadyTime = std::chrono::steady_clock::time_point;
  using WallTime = std::chrono::system_clock::time_point;

  virtual ~Clock() = default;
  virtual SteadyTime now() const = 0;
  virtual WallTime wall() const = 0;
  // Like now() but it also counts the time that the machine was suspended (CLOCK_BOOTTIME). A jump of the difference
  // means that connections are dead.
  virtual Duration since_boot() const = 0;
  // Returns false at once (within milliseconds) when `stop` is requested, true when the time has passed.
  virtual bool sleep_for(Duration duration, std::stop_token stop) const = 0;
};

class SystemClock final : public Clock {
 public:
  SteadyTime now() const override;
  WallTime wall() const override;
  Duration since_boot() const override;
  bool sleep_for(Duration duration, std::stop_token stop) const override;
};

}  // namespace pullama::io
