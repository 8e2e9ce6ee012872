#include "daemon/engine/connection_count.h"

#include <doctest/doctest.h>

using pullama::engine::ConnectionCount;
using namespace std::chrono_literals;

TEST_CASE("it grows from 4 to 16 while each step raises the rate") {
  ConnectionCount count(0);
  CHECK(count.target() == 4);
  count.on_rate(80e6, 1);
  CHECK(count.target() == 8);
  count.on_rate(160e6, 1);
  CHECK(count.target() == 16);
  count.on_rate(320e6, 1);
  CHECK(count.target() == 16);
}

TEST_CASE("a step that brings less than a tenth is taken back and not tried again") {
  ConnectionCount count(0);
  count.on_rate(100e6, 1);
  count.on_rate(105e6, 1);
  CHECK(count.target() == 4);
  count.on_rate(500e6, 1);
  CHECK(count.target() == 4);
}

TEST_CASE("a gain is taken at once, the lack of one is believed after a second") {
  ConnectionCount count(0);
  CHECK_FALSE(count.on_rate(80e6, 0.1));
  CHECK(count.on_rate(80e6, 0.25));
  CHECK(count.target() == 8);
  CHECK_FALSE(count.on_rate(81e6, 0.3));
  CHECK_FALSE(count.on_rate(81e6, 0.9));
  CHECK(count.on_rate(160e6, 0.95));
  CHECK(count.target() == 16);
  CHECK_FALSE(count.on_rate(160e6, 0.9));
  CHECK(count.on_rate(160e6, 1));
  CHECK(count.target() == 8);
}

TEST_CASE("429 and 503 halve it, a burst of them once") {
  ConnectionCount count(0);
  const auto now = std::chrono::steady_clock::time_point(1h);
  count.on_throttled(now);
  count.on_throttled(now + 100ms);
  CHECK(count.target() == 2);
  count.on_throttled(now + 5s);
  count.on_throttled(now + 10s);
  CHECK(count.target() == 1);
}

TEST_CASE("a fixed count does not move, except for a registry that asks for less") {
  ConnectionCount count(7);
  count.on_rate(1e9, 1);
  count.on_window_full();
  CHECK(count.target() == 7);
  count.on_throttled(std::chrono::steady_clock::time_point(1h));
  CHECK(count.target() == 3);
}

TEST_CASE("where the hasher is the limit connections go away one by one") {
  ConnectionCount count(0);
  for (int i = 0; i < 10; ++i) count.on_window_full();
  CHECK(count.target() == 1);
}

TEST_CASE("another number may be asked for at any time, and finding out goes on from it") {
  ConnectionCount count(0);
  count.fix(2);
  CHECK(count.target() == 2);
  CHECK(count.fixed());
  CHECK_FALSE(count.on_rate(80e6, 1));
  count.fix(16);
  CHECK(count.target() == 16);
  count.fix(2);
  count.fix(0);
  CHECK_FALSE(count.fixed());
  CHECK(count.target() == 2);
  count.on_rate(80e6, 1);
  CHECK(count.target() == 4);
  count.fix(0);
  CHECK(count.target() == 4);
}
