#include "daemon/state_writer.h"

#include <doctest/doctest.h>

#include <future>

#include "daemon/queue/queue.h"
#include "tests/daemon/jobs_desk.h"

using namespace pullama;

namespace {

queue::QueueData with_next_id(std::uint64_t id) {
  queue::QueueData data;
  data.next_id = id;
  return data;
}

}  // namespace

TEST_CASE("changes that come during a write share the next one, and each is answered after its own") {
  testing::Loop loop;
  std::promise<void> entered;
  std::promise<void> go_on;
  std::vector<std::string> written;  // of the writer's thread until it is stopped
  std::vector<int> answered;
  StateWriter writer(
      [&](const std::string& text) -> Status {
        written.push_back(text);
        if (written.size() == 1) {
          entered.set_value();
          go_on.get_future().wait();
        }
        return {};
      },
      [&](std::function<void()> work) { loop.post(std::move(work)); });
  writer.write(with_next_id(1), [&](const Status& saved) {
    CHECK(saved.has_value());
    answered.push_back(1);
  });
  entered.get_future().wait();
  for (int i = 2; i <= 50; ++i) {
    writer.write(with_next_id(static_cast<std::uint64_t>(i)), [&answered, i](const Status&) { answered.push_back(i); });
  }
  go_on.set_value();
  loop.run_until([&] { return answered.size() == 50; });
  writer.stop();
  CHECK(written.size() == 2);
  CHECK(written[1].find("\"next_id\":50") != std::string::npos);
  CHECK(std::is_sorted(answered.begin(), answered.end()));
}

TEST_CASE("a write that fails is answered so, and its state is written at the end") {
  testing::Loop loop;
  int writes = 0;
  std::string last;
  std::optional<Status> answer;
  StateWriter writer(
      [&](const std::string& text) -> Status {
        if (++writes == 1) return fail(ErrorCode::kDiskFull, "no room");
        last = text;
        return {};
      },
      [&](std::function<void()> work) { loop.post(std::move(work)); });
  writer.write(with_next_id(7), [&](Status saved) { answer = std::move(saved); });
  loop.run_until([&] { return answer.has_value(); });
  REQUIRE_FALSE(answer->has_value());
  CHECK(answer->error().code == ErrorCode::kDiskFull);
  writer.stop();
  CHECK(writes == 2);
  CHECK(last.find("\"next_id\":7") != std::string::npos);
}

TEST_CASE("what is pending is written before stop returns") {
  testing::Loop loop;
  std::string last;
  StateWriter writer(
      [&](const std::string& text) -> Status {
        last = text;
        return {};
      },
      [&](std::function<void()> work) { loop.post(std::move(work)); });
  writer.write(with_next_id(3), {});
  writer.stop();
  CHECK(last.find("\"next_id\":3") != std::string::npos);
}
