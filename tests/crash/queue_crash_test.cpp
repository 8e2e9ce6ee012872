// The power goes at every operation of edits of the queue, before it and amid it. What is on the disk then is the whole
// queue as it was after one of the edits: at least the last one that was answered.
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <future>
#include <set>

#include "daemon/queue/queue.h"
#include "daemon/queue/queue_file.h"
#include "daemon/state_writer.h"
#include "daemon/store/leftovers.h"
#include "daemon/store/models_dir.h"
#include "tests/crash/promises.h"
#include "tests/crash/tally.h"

namespace pullama::testing {
namespace {

using queue::JobState;

std::string text_of(const queue::QueueData& data) { return queue::Encoder().encode(data); }

// A life of a queue, an edit at a time; the text that each edit must leave.
std::vector<queue::QueueData> edits() {
  std::vector<queue::QueueData> states;
  queue::Queue queue;
  const auto note = [&] { states.push_back(queue.data()); };
  const auto job = [](const std::string& name) {
    return queue::NewJob{queue::JobKind::kPull, *ModelName::parse(name), "/models", R"({"retries":3})"};
  };
  // Enough of them that queue.json is several pages long, and can be torn.
  std::vector<queue::NewJob> many;
  for (int i = 0; i < 30; ++i) many.push_back(job("many" + std::to_string(i)));
  queue.add(many, false, 1000);
  note();
  queue.add({job("first"), job("second")}, true, 2000);
  note();
  const auto direct = queue.start_direct(job("direct"), 3000).job->id;
  note();
  REQUIRE(queue.mark(direct, JobState::kActive, 3001));
  note();
  queue.start();
  REQUIRE(queue.mark(queue.next_to_run()->id, JobState::kActive, 4000));
  note();
  REQUIRE(queue.move(queue.at(5)->id, 20));
  note();
  REQUIRE(queue.mark(direct, JobState::kFailed, 5000, Error{ErrorCode::kNetwork, "the line \"broke\"", "again", 0}));
  note();
  REQUIRE(queue.remove(queue.at(25)->id));
  note();
  REQUIRE(queue.set_limits({1'000'000, 4, 2}));
  note();
  queue.clear();
  note();
  return states;
}

// What a daemon reads that starts on this disk.
std::string loaded(io::FileSystem& fs) {
  store::remove_leftovers(fs);
  const auto found = queue::load(fs, store::kQueueFile, "/models", 9000);
  REQUIRE_MESSAGE(found, found.error().message);
  for (const auto& warning : found->warnings) FAIL_CHECK(warning);
  return text_of(found->data);
}

class QueueCrash {
 public:
  QueueCrash() : states_(edits()), draw_(test_seed()) {
    texts_.push_back(text_of({}));
    for (const auto& state : states_) texts_.push_back(text_of(state));
    REQUIRE(std::set<std::string>(texts_.begin(), texts_.end()).size() == texts_.size());
  }

  void sweep() {
    spdlog::set_level(spdlog::level::off);  // each cut would be complained of
    for (std::uint64_t n = 1; cut_at(n, false); ++n) cut_at(n, true);
    tally_.print("queue edits", test_seed());
    CHECK(tally_.points > 2 * 5 * states_.size());
    CHECK(tally_.states > 900);
    CHECK(saw_.size() == texts_.size());  // every edit was the last one somewhere
  }

 private:
  // Edits from `first` on until the power goes; how many were answered.
  std::size_t edit(CrashFileSystem& disk, std::size_t first) {
    std::size_t answered = first;
    StateWriter writer([&](const std::string& text) { return queue::save(disk, store::kQueueFile, text); },
                       [](const std::function<void()>& task) { task(); });
    for (std::size_t i = first; i < states_.size(); ++i) {
      std::promise<bool> durable;
      writer.write(states_[i], [&](const Status& status) { durable.set_value(status.has_value()); });
      if (!durable.get_future().get()) break;
      answered = i + 1;
    }
    return answered;
  }

  // Checks what the disk holds and says which edit was the last one.
  std::size_t judge(CrashFileSystem& after, std::size_t answered) {
    ++tally_.states;
    const std::string text = loaded(after);
    // Recovering twice is recovering once.
    const auto once = tree(after);
    auto again = after.recover(Survivors::kRandom, draw_());
    CHECK(loaded(*again) == text);
    CHECK(difference(once, tree(*again)) == "");
    const auto found = std::find(texts_.begin(), texts_.end(), text);
    REQUIRE(found != texts_.end());
    const auto last = static_cast<std::size_t>(found - texts_.begin());
    saw_.insert(last);
    CHECK(last >= answered);
    CHECK(last <= answered + 1);
    return last;
  }

  bool cut_at(std::uint64_t n, bool amid) {
    CAPTURE(n);
    CAPTURE(amid);
    CAPTURE(test_seed());
    CrashFileSystem disk;
    amid ? disk.cut_amid(n) : disk.cut_before(n);
    const std::size_t answered = edit(disk, 0);
    CHECK((answered < states_.size()) == disk.is_off());
    if (!disk.is_off()) return false;
    ++tally_.points;
    for_each_outcome(disk, long_run() ? 60 : 6, draw_, [&](CrashFileSystem& after) {
      const std::size_t last = judge(after, answered);
      if (!long_run() && draw_() % 8 != 0) return;
      // The next daemon goes on from there, and is cut, too.
      after.cut_before(1 + draw_() % 12);
      const std::size_t then = edit(after, last);
      ++tally_.second;
      for_each_outcome(after, 2, draw_, [&](CrashFileSystem& twice) {
        judge(twice, then);
        ++tally_.recoveries;
        CHECK(edit(twice, then) == states_.size());
        CHECK(loaded(*twice.recover(Survivors::kOnlySynced)) == texts_.back());
      });
    });
    return true;
  }

  const std::vector<queue::QueueData> states_;
  std::vector<std::string> texts_;  // before the first edit, and after each
  std::set<std::size_t> saw_;
  std::mt19937_64 draw_;
  Tally tally_;
};

TEST_CASE("edits of the queue, the power cut at every operation") { QueueCrash().sweep(); }

}  // namespace
}  // namespace pullama::testing
