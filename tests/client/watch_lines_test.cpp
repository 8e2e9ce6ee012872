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

TEST_CASE("a line a transfer, then the total") {
  const auto lines = watch_lines(busy(2), {}, 100, 20, true);
  REQUIRE(lines.size() == 3);
  CHECK(text_of(lines[0]).find("40% 400 B/1.0 kB . 8.2 MB/s") != std::string::npos);
  CHECK(text_of(lines[2]).find("total 2 transfers 40% 800 B/2.0 kB") != std::string::npos);
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
