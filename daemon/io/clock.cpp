#include "daemon/io/clock.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "daemon/io/system_calls.h"

namespace pullama::io {

Clock::SteadyTime SystemClock::now() const { return std::chrono::steady_clock::now(); }
Clock::WallTime SystemClock::wall() const { return std::chrono::system_clock::now(); }
Clock::Duration SystemClock::since_boot() const { return system_calls::since_boot(); }

bool SystemClock::sleep_for(Duration duration, std::stop_token stop) const {
  // now + duration must not overflow.
  constexpr Duration kLongest = std::chrono::hours(24 * 365);
  const SteadyTime deadline = now() + std::min(duration, kLongest);
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_until(lock, stop, deadline, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace pullama::io
