#include "daemon/engine/rate_limit.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/io/fake_clock.h"

using namespace pullama;
using engine::RateLimit;
using namespace std::chrono_literals;

TEST_CASE("without a limit nothing waits") {
  const testing::FakeClock clock;
  RateLimit limit(clock);
  CHECK(limit.take(1, 1ULL << 32, {}));
}

TEST_CASE("with a limit no more passes than the rate and one burst") {
  testing::FakeClock clock(testing::FakeClock::Mode::kByHand);
  RateLimit limit(clock, 1'000'000);
  std::stop_source stop;
  std::atomic<std::uint64_t> passed{0};
  std::jthread taker([&] {
    while (limit.take(1, 10'000, stop.get_token())) passed += 10'000;
  });
  // Ten seconds, in steps; the taker is woken by its own polling, so wait for it to use up each step.
  std::uint64_t allowed = 0;
  for (int step = 0; step < 100; ++step) {
    clock.advance(100ms);
    allowed += 100'000;
    while (passed + 10'000 <= allowed) std::this_thread::yield();
  }
  CHECK(passed <= allowed + 100'000);
  stop.request_stop();
}

TEST_CASE("a waiter ends on stop, and the others go on") {
  testing::FakeClock clock(testing::FakeClock::Mode::kByHand);
  RateLimit limit(clock, 1);
  std::stop_source stop;
  std::jthread waiter([&] { CHECK_FALSE(limit.take(1, 1000, stop.get_token())); });
  stop.request_stop();
  waiter.join();
  limit.set_rate(0);
  CHECK(limit.take(2, 1000, {}));
}

TEST_CASE("taking the limit away frees those who wait") {
  testing::FakeClock clock(testing::FakeClock::Mode::kByHand);
  RateLimit limit(clock, 1);
  std::jthread waiter([&] { CHECK(limit.take(1, 1'000'000, {})); });
  limit.set_rate(0);
}

TEST_CASE("two jobs share a limit equally, however many connections each has") {
  testing::FakeClock clock(testing::FakeClock::Mode::kByHand);
  RateLimit limit(clock, 1'000'000);
  std::stop_source stop;
  std::atomic<std::uint64_t> one{0}, many{0};
  std::vector<std::jthread> takers;
  takers.emplace_back([&] {
    while (limit.take(1, 10'000, stop.get_token())) one += 10'000;
  });
  for (int i = 0; i < 8; ++i) {
    takers.emplace_back([&] {
      while (limit.take(2, 10'000, stop.get_token())) many += 10'000;
    });
  }
  std::uint64_t allowed = 0;
  for (int step = 0; step < 50; ++step) {
    clock.advance(100ms);
    allowed += 100'000;
    while (one + many + 10'000 <= allowed) std::this_thread::yield();
  }
  stop.request_stop();
  takers.clear();
  const double share = static_cast<double>(one) / static_cast<double>(one + many);
  CHECK(share > 0.3);
  CHECK(share < 0.7);
}
