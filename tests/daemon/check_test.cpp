#include "daemon/check.h"

#include <doctest/doctest.h>

#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace pullama;
using std::chrono::hours;
using std::chrono::milliseconds;

namespace {

Check check(const char* name, const char* status, std::shared_ptr<bool> road = {}) {
  return {name, hours(1),
          [=](const std::stop_token&) {
            return std::vector<Finding>{{name, status, "said", ""}};
          },
          std::move(road)};
}

std::vector<std::string> told(const std::vector<Check>& checks) {
  std::vector<std::string> all;
  CHECK(look_at(checks, [&](const Finding& finding) { all.push_back(finding.check + " " + finding.status); }, {}));
  return all;
}

}  // namespace

TEST_CASE("findings come in order, and one that throws is one that failed") {
  Check throws = check("b", kOk);
  throws.look = [](const std::stop_token&) -> std::vector<Finding> { throw std::runtime_error("oh"); };
  CHECK(told({check("a", kOk), throws, check("c", kWarning)}) ==
        std::vector<std::string>{"a ok", "b failed", "c warning"});
}

TEST_CASE("after one that failed, those that build on it are skipped, and no others") {
  const auto road = std::make_shared<bool>(false);
  CHECK(told({check("a", kWarning, road), check("b", kFailed, road), check("c", kOk, road), check("d", kOk)}) ==
        std::vector<std::string>{"a warning", "b failed", "c skipped", "d ok"});
}

TEST_CASE("every name of a check that is skipped, or that ends early, is told") {
  const auto road = std::make_shared<bool>(false);
  Check first = check("a", kFailed, road), second = check("c", kOk, road);
  first.also = {"b"};
  second.also = {"d", "e"};
  CHECK(told({first, second}) ==
        std::vector<std::string>{"a failed", "b skipped", "c skipped", "d skipped", "e skipped"});
}

TEST_CASE("what stops when it is asked to has failed by its limit, and nothing is left behind") {
  Check slow = check("slow", kOk);
  slow.limit = milliseconds(0);
  slow.look = [](const std::stop_token& stop) {
    while (!stop.stop_requested()) std::this_thread::yield();
    return std::vector<Finding>{{"slow", kOk, "too late", ""}};
  };
  const auto found = look_within_limit(slow, {});
  REQUIRE(found.size() == 1);
  CHECK(found[0].status == kFailed);
  CHECK(found[0].message.find("no end after") == 0);
  CHECK(checks_left_behind() == 0);
}

TEST_CASE("what hangs is left behind, and so many of them end the asking") {
  const auto release = std::make_shared<std::latch>(1);
  Check hangs = check("hangs", kOk);
  hangs.limit = milliseconds(0);
  hangs.look = [release](const std::stop_token&) {
    release->wait();
    return std::vector<Finding>{};
  };
  std::stop_source stop;  // a stop leaves them behind sooner
  stop.request_stop();
  for (std::size_t i = 1; i <= 16; ++i) {
    CHECK(look_within_limit(hangs, stop.get_token()).empty());
    CHECK(checks_left_behind() == i);
  }
  const auto refused = look_within_limit(check("next", kOk), {});
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].status == kFailed);
  CHECK(refused[0].message.find("still hang") != std::string::npos);
  release->count_down();
  while (checks_left_behind() > 0) std::this_thread::yield();
  CHECK(told({check("next", kOk)}) == std::vector<std::string>{"next ok"});
}

TEST_CASE("a stop ends it without a word") {
  std::stop_source stop;
  Check stops = check("a", kOk);
  stops.look = [&](const std::stop_token& asked) {
    stop.request_stop();
    while (!asked.stop_requested()) std::this_thread::yield();
    return std::vector<Finding>{{"a", kOk, "", ""}};
  };
  std::size_t told = 0;
  CHECK_FALSE(look_at(
      {stops, check("b", kOk)}, [&](const Finding&) { ++told; }, stop.get_token()));
  CHECK(told == 0);
}
