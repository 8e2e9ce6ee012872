#include "daemon/engine/workers.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace pullama::engine;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;

// Connections with a rate each, and time that passes in tenths of a second.
struct Line {
  Workers workers;
  Workers::Time now{};
  std::vector<std::pair<unsigned, double>> rates;  // bytes a second

  unsigned add(double rate, std::uint64_t begin, std::uint64_t end) {
    const unsigned id = workers.enter(now);
    rates.emplace_back(id, rate);
    workers.begin(id, {begin, end}, now);
    return id;
  }
  void pass(seconds time, bool throttled = false) {
    for (milliseconds at{0}; at < time; at += milliseconds(100)) {
      now += milliseconds(100);
      for (const auto& [id, rate] : rates) {
        Worker& worker = workers.at(id);
        if (!worker.busy()) continue;
        const auto bytes = std::min(static_cast<std::uint64_t>(rate / 10), worker.claim.end - worker.position);
        worker.position += bytes;
        worker.bytes += bytes;
        if (!worker.busy()) workers.end(id, now);
      }
      workers.sample(now, throttled);
    }
  }
};

}  // namespace

TEST_CASE("a connection under a tenth of the others' median is slow after ten seconds, not before") {
  Line line;
  const unsigned slow = line.add(kMiB / 11.0, 0, 100 * kMiB);
  const unsigned fine = line.add(kMiB / 9.0, 100 * kMiB, 200 * kMiB);
  for (unsigned i = 2; i < 5; ++i) line.add(kMiB, i * 100 * kMiB, (i + 1) * 100 * kMiB);
  line.pass(seconds(9));
  CHECK_FALSE(line.workers.at(slow).slow);
  line.pass(seconds(2));
  CHECK(line.workers.at(slow).slow);
  CHECK_FALSE(line.workers.at(fine).slow);
}

TEST_CASE("the last one that crawls is measured against what the others did before they ran out of work") {
  Line line;
  const unsigned slow = line.add(5000, 0, kMiB);
  for (unsigned i = 1; i < 4; ++i) line.add(10.0 * kMiB, i * 10 * kMiB, (i + 1) * 10 * kMiB);
  line.pass(seconds(9));
  CHECK(line.workers.receiving() == 1);
  CHECK_FALSE(line.workers.at(slow).slow);
  line.pass(seconds(2));
  CHECK(line.workers.at(slow).slow);
}

TEST_CASE("others that begin new claims all the time do not excuse it") {
  Line line;
  const unsigned slow = line.add(5000, 0, 100 * kMiB);
  std::vector<unsigned> others;
  for (unsigned i = 1; i < 4; ++i) others.push_back(line.add(kMiB, i * 100 * kMiB, i * 100 * kMiB + 1));
  for (int second = 0; second < 11; ++second) {
    for (const unsigned id : others) {
      line.workers.end(id, line.now);
      line.workers.begin(id, {0, 2 * kMiB}, line.now);
    }
    line.pass(seconds(1));
  }
  CHECK(line.workers.at(slow).slow);
}

TEST_CASE("of two, each is measured against the other; one alone is never slow") {
  Line line;
  const unsigned slow = line.add(5000, 0, 100 * kMiB);
  line.pass(seconds(30));
  CHECK_FALSE(line.workers.at(slow).slow);
  line.add(kMiB, 100 * kMiB, 200 * kMiB);
  line.pass(seconds(13));
  CHECK(line.workers.at(slow).slow);
}

TEST_CASE("while the rate is limited on purpose the clock stands still") {
  Line line;
  const unsigned slow = line.add(5000, 0, 100 * kMiB);
  line.add(kMiB, 100 * kMiB, 200 * kMiB);
  line.add(kMiB, 200 * kMiB, 300 * kMiB);
  line.pass(seconds(30), true);
  CHECK_FALSE(line.workers.at(slow).slow);
  line.pass(seconds(9));
  CHECK_FALSE(line.workers.at(slow).slow);
  line.pass(seconds(2));
  CHECK(line.workers.at(slow).slow);
}

TEST_CASE("a new claim is a new start") {
  Line line;
  const unsigned slow = line.add(5000, 0, 100 * kMiB);
  line.add(kMiB, 100 * kMiB, 200 * kMiB);
  line.pass(seconds(12));
  REQUIRE(line.workers.at(slow).slow);
  line.workers.begin(slow, {0, 100 * kMiB}, line.now);
  CHECK_FALSE(line.workers.at(slow).slow);
  line.pass(seconds(9));
  CHECK_FALSE(line.workers.at(slow).slow);
}

TEST_CASE("what would take longest is cut in two, and only where it takes more than a second") {
  Line line;
  line.add(40.0 * kMiB, 0, 64 * kMiB);
  const unsigned slow = line.add(2.0 * kMiB, 64 * kMiB, 80 * kMiB);
  CHECK_FALSE(line.workers.split_longest(line.now, {}));  // nothing seen yet
  line.pass(seconds(1));
  const auto taken = line.workers.split_longest(line.now, {});
  REQUIRE(taken);
  // 66 to 80 MiB were left; cuts lie at multiples of 64 KiB.
  CHECK(taken->begin == 73 * kMiB - (64 << 10));
  CHECK(taken->end == 80 * kMiB);
  CHECK(line.workers.at(slow).claim.end == taken->begin);
  CHECK_FALSE(line.workers.split_longest(line.now, 3 * kMiB));  // done in half a second
  CHECK(line.workers.split_longest(line.now, 66 * kMiB)->begin == 69 * kMiB + 7 * (64 << 10));
  line.pass(seconds(1));
  CHECK_FALSE(line.workers.split_longest(line.now, {}));  // the halves are not worth a request
}

TEST_CASE("a silent connection's range is cut until only a piece is left") {
  Line line;
  line.add(0, 0, 16 * kMiB);
  line.pass(seconds(1));
  std::uint64_t left = 16 * kMiB;
  while (const auto taken = line.workers.split_longest(line.now, {})) {
    CHECK(taken->end == left);
    left = taken->begin;
  }
  CHECK(left == kMiB);
}
