#include "client/watch_lines.h"

#include <doctest/doctest.h>

#include "tests/client/story.h"

using namespace pullama;
using namespace pullama::client;
using namespace pullama::client::test;

namespace {

View busy(int jobs) {
  View view;
  for (int i = 0; i < jobs; ++i) {
    const std::string job = "job" + std::to_string(i);
    auto started = about(proto::event::JobStarted{}, job);
    started.model = "registry.example.com:5000/ns/model-" + std::to_string(i) + ":latest";
    view.apply(started);
    auto sample = progress(1, 1000, 400, 400, 1000);
    sample.job = job;
    sample.model = started.model;
    if (i % 3 != 2) view.apply(sample);
  }
  return view;
}

}  // namespace

TEST_CASE("the live screen fits its terminal at every width and height") {
  proto::QueueView queue;
  for (std::uint64_t i = 1; i <= 30; ++i) {
    queue.entries.push_back({i, "q" + std::to_string(i), "mistral:7b", proto::JobState::kQueued, {}, {}});
  }
  for (const int jobs : {0, 1, 5, 50}) {
    const View view = busy(jobs);
    for (std::size_t columns = 20; columns <= 300; columns += 7) {
      for (std::size_t rows = 1; rows < 60; rows += rows < 12 ? 1 : 8) {
        const auto lines = watch_lines(view, queue, columns, rows, false);
        REQUIRE(!lines.empty());
        REQUIRE(lines.size() <= rows);
        for (const Line& line : lines) REQUIRE(width_of(line) <= columns);
      }
    }
  }
}

TEST_CASE("a line a transfer, its columns below each other, then the total") {
  View view = busy(2);
  auto sample = progress(1, 1000, 1000, 1000, 1000);
  sample.job = "job1";
  sample.model = "registry.example.com:5000/ns/model-1:latest";
  std::get<proto::event::BlobProgress>(sample.body).rate = 512;
  std::get<proto::event::BlobProgress>(sample.body).connections = 12;
  view.apply(sample);
  const auto lines = watch_lines(view, {}, 100, 20, true);
  REQUIRE(lines.size() == 3);
  const auto trimmed = [&](std::size_t row) {
    std::string text = text_of(lines[row]);
    return text.erase(text.find_last_not_of(' ') + 1);
  };
  CHECK(trimmed(0) == "…le.com:5000/ns/model-0:latest [######.........]  40%  400 B/1.0 kB · 8.2 MB/s · eta 2m30s");
  CHECK(trimmed(1) ==
        "…le.com:5000/ns/model-1:latest [###############] 100% 1.0 kB/1.0 kB ·  512 B/s             · 12 conn");
  CHECK(trimmed(2) ==
        "total                          [##########.....]  70% 1.4 kB/2.0 kB · 8.2 MB/s ·    eta 0s · 12 conn");
}

TEST_CASE("one transfer has no total, one beside queued ones has") {
  proto::QueueView queue;
  queue.paused = true;
  queue.entries.push_back({1, "q1", "mistral:7b", proto::JobState::kQueued, {}, {}});
  CHECK(watch_lines(busy(1), {}, 80, 20, false).size() == 1);
  const auto lines = watch_lines(busy(1), queue, 80, 20, false);
  REQUIRE(lines.size() == 4);
  CHECK(text_of(lines[1]).rfind("total ", 0) == 0);
  CHECK(text_of(lines[2]) == "  · 1 mistral:7b queued");
  CHECK(text_of(lines[3]) == "  the queue is stopped; start it with: pullama queue start");
}

TEST_CASE("a long queue is counted, not listed") {
  proto::QueueView queue;
  queue.paused = false;
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    queue.entries.push_back({i, "q" + std::to_string(i), "mistral:7b", proto::JobState::kQueued, {}, {}});
  }
  const auto lines = watch_lines(busy(1), queue, 80, 10, false);
  REQUIRE(lines.size() <= 10);
  CHECK(text_of(lines.back()) == "  · 9994 more queued");
}

TEST_CASE("nothing under way is said") {
  CHECK(text_of(watch_lines(View{}, {}, 80, 20, false).at(0)).find("nothing is under way") == 0);
}

TEST_CASE("ends are told with their reason, made printable") {
  View view;
  view.apply(about(proto::event::JobFailed{Error{ErrorCode::kNetwork, "no\x1b[2J route", {}, 0}}));
  CHECK(text_of(finished_line(*view.find("j1"))) == "✗ failed llama3.2:latest: no\\x1b[2J route");
  view.apply(completed(4'700'000'000, 3));
  CHECK(text_of(finished_line(*view.find("j1"))) == "✓ completed llama3.2:latest 4.7 GB 12m34s");
}
