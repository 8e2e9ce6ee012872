#include "daemon/engine/speed_meter.h"

#include <doctest/doctest.h>

using pullama::engine::SpeedMeter;
using namespace std::chrono_literals;

TEST_CASE("the rate is that of the last window, not of the whole time") {
  SpeedMeter meter(5s);
  SpeedMeter::Time at{};
  std::uint64_t bytes = 0;
  for (int i = 0; i < 100; ++i) meter.sample(at += 100ms, bytes += 1'000'000);
  CHECK(meter.bytes_per_second() == doctest::Approx(10e6).epsilon(0.01));
  for (int i = 0; i < 60; ++i) meter.sample(at += 100ms, bytes += 100'000);
  CHECK(meter.bytes_per_second() == doctest::Approx(1e6).epsilon(0.05));
}

TEST_CASE("the time left follows the rate and is unknown while nothing moves") {
  SpeedMeter meter;
  CHECK_FALSE(meter.eta(100));
  meter.sample(SpeedMeter::Time(1s), 0);
  meter.sample(SpeedMeter::Time(2s), 0);
  CHECK_FALSE(meter.eta(100));
  meter.sample(SpeedMeter::Time(3s), 2000);
  CHECK(meter.eta(3000) == 3s);
}
