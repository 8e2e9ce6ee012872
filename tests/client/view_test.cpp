#include "client/view.h"

#include <doctest/doctest.h>

#include <random>

#include "tests/client/story.h"

using namespace pullama;
using namespace pullama::client;
using namespace pullama::client::test;

TEST_CASE("cached, resumed and finished blobs count without a sample") {
  View view;
  view.apply(about(proto::event::JobStarted{}));
  view.apply(fetched(3, 1000));
  view.apply(about(proto::event::BlobCached{blob(1, 100)}));
  CHECK(view.find("j1")->percent == 10);
  view.apply(about(proto::event::BlobResumed{blob(2, 600), 300, 3, 6}));
  CHECK(view.find("j1")->done_bytes == 400);
  view.apply(progress(2, 600, 450, 550, 1000));
  CHECK(view.find("j1")->percent == 55);
  CHECK(view.find("j1")->eta == std::chrono::seconds(150));
  view.apply(completed(1000, 3));
  CHECK(view.find("j1")->percent == 100);
  CHECK(view.find("j1")->state == proto::JobState::kCompleted);
  CHECK(view.find("j1")->rate == 0);
}

TEST_CASE("figures never fall and never pass the whole, whatever order events come in") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto pick = [&](std::uint64_t most) { return random() % (most + 1); };
  for (int round = 0; round < 50; ++round) {
    View view;
    view.apply(fetched(3, 1'000'000));
    std::uint64_t done = 0;
    unsigned percent = 0;
    for (int i = 0; i < 300; ++i) {
      const auto number = static_cast<unsigned char>(1 + pick(5));
      switch (pick(6)) {
        case 0:
          view.apply(about(proto::event::BlobCached{blob(number, pick(2'000'000))}));
          break;
        case 1:
          view.apply(about(proto::event::BlobResumed{blob(number, 400'000), random(), 0, 0}));
          break;
        case 2:
          view.apply(about(proto::event::BlobVerified{blob(number, UINT64_MAX), {}}));
          break;
        case 3:
          view.apply(about(proto::event::BlobRestarted{blob(number, 400'000), "x", 1, 2}));
          break;
        default:
          view.apply(
              progress(number, random(), random(), pick(2) == 0 ? random() : pick(1'000'000), pick(1) * random()));
      }
      const Transfer& shown = *view.find("j1");
      REQUIRE(shown.done_bytes >= done);
      REQUIRE(shown.percent >= percent);
      REQUIRE(shown.percent <= 100);
      REQUIRE(shown.done_bytes <= shown.total_bytes);
      done = shown.done_bytes;
      percent = shown.percent;
    }
  }
}

TEST_CASE("a snapshot of the same job after a restart does not pull the figures back") {
  View view;
  view.apply(fetched(2, 1000));
  view.apply(progress(1, 1000, 700, 700, 1000));
  view.rename("j1", "j9");
  CHECK(view.find("j1") == nullptr);
  proto::Snapshot snapshot;
  snapshot.jobs.emplace_back();
  snapshot.jobs[0].id = "j9";
  snapshot.jobs[0].model = "llama3.2:latest";
  snapshot.jobs[0].state = proto::JobState::kActive;
  snapshot.jobs[0].bytes_total = 1000;
  snapshot.jobs[0].bytes_done = 400;
  view.reset(snapshot);
  REQUIRE(view.find("j9") != nullptr);
  CHECK(view.find("j9")->percent == 70);
  CHECK(view.find("j9")->done_bytes == 700);
}

TEST_CASE("a snapshot that does not name a job forgets it") {
  View view;
  view.apply(fetched(2, 1000));
  view.reset(proto::Snapshot{});
  CHECK(view.find("j1") == nullptr);
  CHECK(view.transfers().empty());
}

TEST_CASE("a screen that stays open does not remember finished transfers for ever") {
  View view;
  for (int i = 0; i < 500; ++i) {
    auto event = completed(10, 1);
    event.job = "job" + std::to_string(i);
    view.apply(event);
  }
  CHECK(view.transfers().size() <= 64);
  CHECK(view.find("job499") != nullptr);
}

TEST_CASE("waiting, pausing and failing are told with their reason") {
  View view;
  view.apply(progress(1, 1000, 700, 700, 1000));
  proto::event::JobWaiting waiting;
  waiting.state = proto::JobState::kWaitingNetwork;
  waiting.why = "no route";
  view.apply(about(waiting));
  CHECK(view.find("j1")->waits_for == "no route");
  CHECK_FALSE(view.find("j1")->eta);
  view.apply(about(proto::event::JobResumed{}));
  CHECK(view.find("j1")->waits_for.empty());
  view.apply(about(proto::event::JobFailed{Error{ErrorCode::kNotFound, "gone", {}, 0}}));
  CHECK(view.find("j1")->error->code == ErrorCode::kNotFound);
}
