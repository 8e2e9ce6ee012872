#pragma once
// Rate over a sliding window, and the time left. Pure: time is given in.

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

namespace pullama::engine {

class SpeedMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  explicit SpeedMeter(std::chrono::milliseconds window = std::chrono::seconds(5)) : window_(window) {}

  // `total_bytes`: all that was received so far; never smaller than the last one.
  void sample(Time now, std::uint64_t total_bytes);
  // 0 until there are two samples.
  double bytes_per_second() const;
  // nullopt while nothing moves.
  std::optional<std::chrono::seconds> eta(std::uint64_t remaining_bytes) const;

 private:
  struct Sample {
    Time at;
    std::uint64_t bytes;
  };
  std::chrono::milliseconds window_;
  std::deque<Sample> samples_;
};

}  // namespace pullama::engine
