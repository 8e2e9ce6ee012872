#include "daemon/progress_relay.h"

#include <doctest/doctest.h>

#include <memory>
#include <thread>

using namespace pullama;

namespace {

const engine::BlobRef kOne{Digest::from_bytes({1}), 1000, 1, 2};
const engine::BlobRef kTwo{Digest::from_bytes({2}), 1000, 2, 2};

engine::BlobProgress sample(const engine::BlobRef& blob, std::uint64_t done) {
  return {blob, done, 0, 0, 0, std::nullopt, 1};
}

struct Relay {
  std::mutex mutex;
  std::vector<std::function<void()>> posted;
  std::vector<engine::Report> delivered;
  std::shared_ptr<ProgressRelay> relay = std::make_shared<ProgressRelay>(
      [this](std::function<void()> work) {
        const std::lock_guard lock(mutex);
        posted.push_back(std::move(work));
      },
      [this](std::vector<engine::Report> reports) {
        delivered.insert(delivered.end(), reports.begin(), reports.end());
      });
};

}  // namespace

TEST_CASE("many reports make one post, delivered in order") {
  Relay r;
  r.relay->report(engine::ManifestFetching{});
  r.relay->report(engine::BlobStarted{kOne});
  r.relay->report(engine::BlobStarted{kTwo});
  REQUIRE(r.posted.size() == 1);
  CHECK(r.delivered.empty());
  r.posted[0]();
  REQUIRE(r.delivered.size() == 3);
  CHECK(std::holds_alternative<engine::ManifestFetching>(r.delivered[0]));
  CHECK(std::get<engine::BlobStarted>(r.delivered[2]).blob.index == 2);
  r.relay->report(engine::BlobFinalized{kOne});
  CHECK(r.posted.size() == 2);
}

TEST_CASE("a newer sample of a blob replaces the older, but none overtakes a change of state") {
  Relay r;
  r.relay->report(sample(kOne, 10));
  r.relay->report(sample(kTwo, 5));
  r.relay->report(sample(kOne, 20));
  r.relay->report(engine::BlobVerified{kOne, {}});
  r.relay->report(sample(kTwo, 6));
  r.relay->report(sample(kTwo, 7));
  r.relay->flush();
  REQUIRE(r.delivered.size() == 4);
  CHECK(std::get<engine::BlobProgress>(r.delivered[0]).bytes_done == 20);
  CHECK(std::get<engine::BlobProgress>(r.delivered[1]).bytes_done == 5);
  CHECK(std::get<engine::BlobProgress>(r.delivered[3]).bytes_done == 7);
}

TEST_CASE("a control thread that is late costs traces, never a change of state") {
  Relay r;
  for (std::size_t i = 0; i < 3 * ProgressRelay::kMaxPendingTraces; ++i) {
    r.relay->report(engine::ChunkStarted{kOne, i, i});
  }
  r.relay->report(engine::BlobVerified{kOne, {}});
  r.relay->flush();
  CHECK(r.delivered.size() == ProgressRelay::kMaxPendingTraces + 1);
}

TEST_CASE("what is posted after the relay has gone does nothing") {
  Relay r;
  r.relay->report(engine::ManifestFetching{});
  r.relay.reset();
  r.posted.at(0)();
  CHECK(r.delivered.empty());
}

TEST_CASE("workers may report at once") {
  Relay r;
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < 4; ++i) {
      workers.emplace_back([&] {
        for (int n = 0; n < 500; ++n) r.relay->report(engine::BlobStarted{kOne});
      });
    }
  }
  r.relay->flush();
  CHECK(r.delivered.size() == 2000);
}
