#include "daemon/io/clock.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "tests/support/io/fake_clock.h"

namespace pullama::io {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a stop ends the system clock's longest sleep") {
  const SystemClock clock;
  std::stop_source stop;
  std::atomic<bool> slept_through{true};
  std::thread sleeper([&] { slept_through = clock.sleep_for(Clock::Duration::max(), stop.get_token()); });
  stop.request_stop();
  sleeper.join();
  CHECK_FALSE(slept_through);
}

TEST_CASE("a sleep of no length only says whether a stop was asked for") {
  const SystemClock clock;
  std::stop_source stop;
  CHECK(clock.sleep_for(0s, stop.get_token()));
  CHECK(clock.sleep_for(-1s, stop.get_token()));
  stop.request_stop();
  CHECK_FALSE(clock.sleep_for(0s, stop.get_token()));
}

TEST_CASE("the system clock's times go forward") {
  const SystemClock clock;
  const auto steady = clock.now();
  const auto boot = clock.since_boot();
  CHECK(clock.now() >= steady);
  CHECK(clock.since_boot() >= boot);
  CHECK(boot > 0s);
}

TEST_CASE("the fake clock passes two hours by sleeping") {
  const testing::FakeClock clock;
  const auto start = clock.now();
  const auto wall = clock.wall();
  CHECK(clock.sleep_for(2h, {}));
  CHECK(clock.now() - start == 2h);
  CHECK(clock.wall() - wall == 2h);
  std::stop_source stop;
  stop.request_stop();
  CHECK_FALSE(clock.sleep_for(1h, stop.get_token()));
  CHECK(clock.elapsed() == 2h);
}

TEST_CASE("the fake clock wakes sleepers when it is turned far enough, or stopped") {
  testing::FakeClock clock(testing::FakeClock::Mode::kByHand);
  std::stop_source stop;
  std::atomic<int> woken{0}, stopped{0};
  const auto sleep = [&](Clock::Duration duration) {
    ++(clock.sleep_for(duration, stop.get_token()) ? woken : stopped);
  };
  std::thread short_sleeper(sleep, 1s);
  std::thread long_sleeper(sleep, 1h);
  clock.wait_for_sleepers(2);
  clock.advance(500ms);
  CHECK(clock.sleepers() == 2);
  clock.advance(500ms);
  short_sleeper.join();
  CHECK(woken == 1);
  stop.request_stop();
  long_sleeper.join();
  CHECK(stopped == 1);
}

TEST_CASE("a suspended fake machine shows in the time since boot only") {
  testing::FakeClock clock;
  const auto steady = clock.now();
  const auto boot = clock.since_boot();
  clock.suspend(3h);
  CHECK(clock.now() == steady);
  CHECK(clock.since_boot() - boot == 3h);
}

}  // namespace
}  // namespace pullama::io
