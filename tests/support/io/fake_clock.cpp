#include "tests/support/io/fake_clock.h"

#include <algorithm>

namespace pullama::testing {
namespace {

// Far from zero, as a real one, so that subtracting from now() is harmless.
constexpr io::Clock::Duration kStart = std::chrono::hours(24);

}  // namespace

io::Clock::SteadyTime FakeClock::now() const { return SteadyTime(kStart + elapsed()); }

io::Clock::WallTime FakeClock::wall() const {
  const std::lock_guard lock(mutex_);
  return wall_start_ + std::chrono::duration_cast<WallTime::duration>(elapsed_ + suspended_);
}

io::Clock::Duration FakeClock::since_boot() const {
  const std::lock_guard lock(mutex_);
  return kStart + elapsed_ + suspended_;
}

bool FakeClock::sleep_for(Duration duration, std::stop_token stop) const {
  std::unique_lock lock(mutex_);
  const Duration end = elapsed_ + std::max(duration, Duration{0});
  if (mode_ == Mode::kBySleeping) {
    if (stop.stop_requested()) return false;
    elapsed_ = std::max(elapsed_, end);
    return true;
  }
  ++sleepers_;
  changed_.notify_all();
  const bool passed = changed_.wait(lock, stop, [&] { return elapsed_ >= end; });
  --sleepers_;
  changed_.notify_all();
  return passed && !stop.stop_requested();
}

void FakeClock::advance(Duration duration) {
  const std::lock_guard lock(mutex_);
  elapsed_ += duration;
  changed_.notify_all();
}

void FakeClock::suspend(Duration duration) {
  const std::lock_guard lock(mutex_);
  suspended_ += duration;
}

void FakeClock::set_wall(WallTime time) {
  const std::lock_guard lock(mutex_);
  wall_start_ = time - std::chrono::duration_cast<WallTime::duration>(elapsed_ + suspended_);
}

std::size_t FakeClock::sleepers() const {
  const std::lock_guard lock(mutex_);
  return sleepers_;
}

void FakeClock::wait_for_sleepers(std::size_t count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return sleepers_ >= count; });
}

io::Clock::Duration FakeClock::elapsed() const {
  const std::lock_guard lock(mutex_);
  return elapsed_;
}

}  // namespace pullama::testing
