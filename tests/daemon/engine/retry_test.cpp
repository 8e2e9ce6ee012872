#include "daemon/engine/retry.h"

#include <doctest/doctest.h>

using namespace pullama;
using namespace std::chrono_literals;
using engine::RetryPolicy;
using registry::Fault;

namespace {

Fault fault(Fault::Kind kind, std::optional<std::chrono::seconds> retry_after = std::nullopt) {
  Fault result;
  result.kind = kind;
  result.retry_after = retry_after;
  return result;
}

}  // namespace

TEST_CASE("six retries without a byte, with doubling waits, then it is given up") {
  RetryPolicy retry(6);
  const std::chrono::milliseconds waits[] = {500ms, 1s, 2s, 4s, 8s, 16s};
  for (unsigned i = 0; i < 6; ++i) {
    const auto decision = retry.on_fault(fault(Fault::Kind::kTransient), 0, 0, 0.5);
    CHECK_FALSE(decision.give_up);
    CHECK(decision.attempt == i + 1);
    CHECK(decision.wait == waits[i]);
  }
  CHECK(retry.on_fault(fault(Fault::Kind::kTransient), 0, 0, 0.5).give_up);
}

TEST_CASE("waits stay between their jitter and two minutes") {
  RetryPolicy retry(std::nullopt);
  for (int i = 0; i < 40; ++i) {
    const auto decision = retry.on_fault(fault(Fault::Kind::kTransient), 0, 0, 0.999);
    CHECK_FALSE(decision.give_up);
    CHECK(decision.wait <= 120s);
    CHECK(decision.wait >= 375ms);
  }
}

TEST_CASE("a fault after 64 KiB gained is free and retried at once, a thousand times") {
  RetryPolicy retry(6);
  std::uint64_t bytes = 0;
  for (int i = 0; i < 1000; ++i) {
    bytes += RetryPolicy::kGainBytes;
    const auto decision = retry.on_fault(fault(Fault::Kind::kTransient), bytes, bytes, 0.5);
    REQUIRE_FALSE(decision.give_up);
    REQUIRE(decision.wait == 0ms);
    REQUIRE(decision.attempt == 0);
  }
}

TEST_CASE("less than 64 KiB gained waits but does not count up") {
  RetryPolicy retry(2);
  std::uint64_t bytes = 0;
  for (int i = 0; i < 50; ++i) {
    bytes += 100;
    const auto decision = retry.on_fault(fault(Fault::Kind::kTransient), bytes, bytes, 0.5);
    REQUIRE_FALSE(decision.give_up);
    REQUIRE(decision.attempt == 1);
    REQUIRE(decision.wait > 0ms);
  }
}

TEST_CASE("while other connections move the blob on, this one's faults do not count") {
  RetryPolicy retry(2);
  for (std::uint64_t i = 1; i < 50; ++i) {
    REQUIRE_FALSE(retry.on_fault(fault(Fault::Kind::kTransient), i << 20, 0, 0.5).give_up);
  }
  CHECK_FALSE(retry.on_fault(fault(Fault::Kind::kTransient), 49ULL << 20, 0, 0.5).give_up);
  CHECK(retry.on_fault(fault(Fault::Kind::kTransient), 49ULL << 20, 0, 0.5).give_up);
}

TEST_CASE("Retry-After is obeyed where it is longer than the own wait") {
  RetryPolicy retry(6);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled, 30s), 0, 0, 0.5).wait == 30s);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled, 0s), 0, 0, 0.5).wait == 1s);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled, 300s), 1 << 20, 1 << 20, 0.5).wait == 300s);
}

TEST_CASE("a refused URL is resolved again at once, then with waits, five times") {
  RetryPolicy retry(6);
  CHECK(retry.on_fault(fault(Fault::Kind::kUrlRefused), 0, 0, 0.5).wait == 0ms);
  for (int i = 0; i < 4; ++i) {
    const auto decision = retry.on_fault(fault(Fault::Kind::kUrlRefused), 0, 0, 0.5);
    CHECK_FALSE(decision.give_up);
    CHECK(decision.wait > 0ms);
  }
  CHECK(retry.on_fault(fault(Fault::Kind::kUrlRefused), 0, 0, 0.5).give_up);
}

TEST_CASE("progress starts the count of refused URLs over") {
  RetryPolicy retry(6);
  for (std::uint64_t i = 1; i < 100; ++i) {
    const auto decision = retry.on_fault(fault(Fault::Kind::kUrlRefused), i, i, 0.5);
    REQUIRE_FALSE(decision.give_up);
    REQUIRE(decision.wait == 0ms);
  }
}

TEST_CASE("refused URLs and tokens are counted over all connections of a blob, each once") {
  engine::Refusals refusals;
  RetryPolicy one(6, &refusals), other(6, &refusals);
  const auto refused = [](Fault::Kind kind, std::uint64_t which) {
    auto result = fault(kind);
    result.refused = which;
    return result;
  };
  for (const auto kind : {Fault::Kind::kUrlRefused, Fault::Kind::kTokenRefused}) {
    const std::uint64_t max =
        kind == Fault::Kind::kUrlRefused ? RetryPolicy::kMaxUrlRefreshes : RetryPolicy::kMaxTokenRefreshes;
    for (std::uint64_t i = 1; i <= max; ++i) {
      // Both meet each of them.
      CHECK(one.on_fault(refused(kind, i), 0, 0, 0.5).attempt == i);
      CHECK(other.on_fault(refused(kind, i), 0, 0, 0.5).attempt == i);
    }
    CHECK(other.on_fault(refused(kind, max + 1), 0, 0, 0.5).give_up);
    CHECK(one.on_fault(refused(kind, max + 1), 0, 0, 0.5).give_up);
    CHECK_FALSE(one.on_fault(refused(kind, max + 2), 100, 0, 0.5).give_up);
  }
}

TEST_CASE("a 503 after 64 KiB gained is free too, unless the server says how long to wait") {
  RetryPolicy retry(6);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled), 1 << 20, 1 << 20, 0.5).wait == 0ms);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled), 1 << 20, 1 << 20, 0.5).wait > 0ms);
  CHECK(retry.on_fault(fault(Fault::Kind::kThrottled, 7s), 2 << 20, 2 << 20, 0.5).wait == 7s);
}

TEST_CASE("a token is renewed three times without progress") {
  RetryPolicy retry(6);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(retry.on_fault(fault(Fault::Kind::kTokenRefused), 0, 0, 0.5).give_up);
  CHECK(retry.on_fault(fault(Fault::Kind::kTokenRefused), 0, 0, 0.5).give_up);
}

TEST_CASE("a permanent fault is final") {
  RetryPolicy retry(std::nullopt);
  CHECK(retry.on_fault(fault(Fault::Kind::kPermanent), 0, 0, 0.5).give_up);
}

TEST_CASE("a request whose time was over goes on free when it brought a byte") {
  RetryPolicy retry(0);
  CHECK_FALSE(retry.on_fault(fault(Fault::Kind::kTimeLimit), 1, 1, 0.5).give_up);
  CHECK(retry.on_fault(fault(Fault::Kind::kTimeLimit), 1, 1, 0.5).give_up);
}
