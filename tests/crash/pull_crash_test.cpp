// The power goes at every operation of a pull, before it and amid it, and once more while the next pull recovers. What
// the disk may then look like is judged by promises.h; the pull after that must end with the very files that an
// undisturbed one leaves.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>

#include "daemon/io/atomic_write.h"
#include "daemon/store/models_dir.h"
#include "tests/crash/pull_world.h"
#include "tests/crash/tally.h"
#include "tests/support/io/content.h"

namespace pullama::testing {
namespace {

using Prepare = std::function<void(PullWorld&, CrashFileSystem&, MemoryLedger&)>;

// One situation in which a pull begins.
class Scenario {
 public:
  Scenario(std::string title, std::vector<std::string> blobs, Prepare prepare)
      : title_(std::move(title)), world_(blobs), prepare_(std::move(prepare)), draw_(test_seed()) {
    prepare_(world_, start_, start_ledger_);
    auto undisturbed = start_.recover(Survivors::kEverything);
    MemoryLedger ledger;
    ledger.copy_from(start_ledger_);
    const auto pulled = world_.pull(*undisturbed, ledger, Pace::kCheckpoints);
    REQUIRE_MESSAGE(pulled, pulled.error().message);
    REQUIRE(broken_promises(*undisturbed, world_.truth()).empty());
    goal_ = tree(*undisturbed);
    operations_ = undisturbed->mutations();
  }

  void sweep() {
    CAPTURE(title_);
    CAPTURE(test_seed());
    for (std::uint64_t n = 1; cut_at(n, false); ++n) {
      // Amid most operations is before or after them; a sample shows that nothing hides there.
      if (long_run() || draw_() % 4 == 0) cut_at(n, true);
    }
    tally_.print(title_, test_seed());
    // Threads make each run a little different; far fewer would mean that the power stayed on.
    CHECK(tally_.points > operations_ * 3 / 4);
    CHECK(tally_.states > 4 * tally_.points);
    CHECK(tally_.recoveries > 0);
    CHECK(tally_.second > 0);
  }

  const Tally& tally() const { return tally_; }

 private:
  // False when the pull ran through before its `n`th operation.
  bool cut_at(std::uint64_t n, bool amid) {
    CAPTURE(n);
    CAPTURE(amid);
    auto disk = start_.recover(Survivors::kEverything);
    MemoryLedger ledger;
    ledger.copy_from(start_ledger_);
    amid ? disk->cut_amid(n) : disk->cut_before(n);
    Said said;
    const auto pulled = world_.pull(*disk, ledger, Pace::kCheckpoints, &said);
    CHECK((pulled || disk->is_off()));
    // Tidying up after the manifest may fail unnoticed; what is called pulled then is held to it below.
    said.installed = said.installed || pulled;
    if (!disk->is_off()) return false;
    ++tally_.points;
    for_each_outcome(*disk, long_run() ? 12 : 4, draw_, [&](CrashFileSystem& after) {
      judge(after, said);
      if (long_run() || draw_() % 12 == 0) recover(after, ledger);
    });
    return true;
  }

  void judge(CrashFileSystem& disk, const Said& said) {
    ++tally_.states;
    for (const auto& broken : broken_promises(disk, world_.truth(), said)) FAIL_CHECK(broken);
  }

  void recover(CrashFileSystem& disk, const MemoryLedger& survived) {
    MemoryLedger ledger;
    if (draw_() % 2 == 0) ledger.copy_from(survived);
    if (draw_() % 2 == 0) {
      // A crash during the recovery is a crash like any other.
      const std::uint64_t at = 1 + draw_() % operations_;
      CAPTURE(at);
      draw_() % 2 == 0 ? disk.cut_before(at) : disk.cut_amid(at);
      Said said;
      const auto pulled = world_.pull(disk, ledger, Pace::kCheckpoints, &said);
      CHECK((pulled || disk.is_off()));
      said.installed = said.installed || pulled;
      if (disk.is_off()) ++tally_.second;
      for_each_outcome(disk, 1, draw_, [&](CrashFileSystem& after) {
        judge(after, said);
        MemoryLedger left;
        left.copy_from(ledger);
        finish(after, left);
      });
    } else {
      finish(disk, ledger);
    }
  }

  void finish(CrashFileSystem& disk, MemoryLedger& ledger) {
    ++tally_.recoveries;
    const std::uint64_t safe = safe_bytes(disk, world_.truth());
    const auto pulled = world_.pull(disk, ledger, Pace::kFast);
    REQUIRE_MESSAGE(pulled, pulled.error().message);
    // What a checkpoint covers never travels twice (an old version's blobs count as safe, too).
    std::uint64_t all = 0;
    for (const auto& [digest, content] : world_.truth().contents) all += content.size();
    CHECK(pulled->fetched_bytes <= all - safe);
    for (const auto& broken : broken_promises(disk, world_.truth())) FAIL_CHECK(broken);
    CHECK(difference(without_remains(goal_), without_remains(tree(disk))) == "");
    // And all of it is durable.
    auto cut = disk.recover(Survivors::kOnlySynced);
    for (const auto& broken : broken_promises(*cut, world_.truth())) FAIL_CHECK(broken);
    CHECK(cut->stat(store::manifest_path(world_.truth().model)));
  }

  // What a crash may leave beside a model that is whole, until `clean` finds it: empty locks and folders, our notes and
  // second names of finished blobs, an older version's blobs, the parts file of an Ollama partial that is gone.
  std::map<std::string, std::string> without_remains(std::map<std::string, std::string> files) const {
    std::erase_if(files, [&](const auto& file) {
      const auto& [path, bytes] = file;
      if (path == store::kManifestsLock) return true;
      if (path.starts_with(".pullm/pending/") && path.ends_with('/')) return true;
      for (const auto& [digest, content] : world_.truth().contents) {
        if (path == store::blob_lock_path(digest) || path == store::checkpoint_path(digest)) return true;
        if (path == store::unsynced_path(digest)) return true;
        if (path == store::ollama_part_path(digest, 0)) return true;
        if (path == store::keep_path(digest) && bytes == content) return true;
        if (path == store::blob_path(digest) && bytes == content && !goal_.contains(path)) return true;
      }
      return false;
    });
    return files;
  }

  const std::string title_;
  PullWorld world_;
  const Prepare prepare_;
  std::mt19937_64 draw_;
  CrashFileSystem start_;
  MemoryLedger start_ledger_;
  std::map<std::string, std::string> goal_;
  std::uint64_t operations_ = 0;
  Tally tally_;
};

const std::string kLarge = content(44'000, 1), kSmall = content(9'000, 2);

TEST_CASE("a first pull, the power cut at every operation") {
  Scenario scenario("first pull", {kLarge, kSmall, "", "{}"}, [](auto&, auto&, auto&) {});
  scenario.sweep();
  CHECK(scenario.tally().states > 600);
}

TEST_CASE("an update of an installed model, the power cut at every operation") {
  Scenario scenario("update", {kSmall, "{}"}, [](PullWorld& world, CrashFileSystem& disk, MemoryLedger& ledger) {
    REQUIRE(world.pull(disk, ledger, Pace::kFast));
    world.publish({kSmall, kLarge, "{\"new\":1}"});
  });
  scenario.sweep();
  CHECK(scenario.tally().states > 500);
}

TEST_CASE("taking over an unfinished download of Ollama, the power cut at every operation") {
  Scenario scenario("adoption", {kLarge, "{}"}, [](PullWorld& world, CrashFileSystem& disk, MemoryLedger&) {
    const Digest digest = world.digest(0);
    REQUIRE(disk.make_directories(store::kBlobsDir));
    const auto put = [&](const std::string& path, const std::string& text) {
      REQUIRE(io::atomic_write(disk, path, text, 0644));
    };
    put(store::ollama_partial_path(digest), kLarge.substr(0, 20'000) + std::string(kLarge.size() - 20'000, '\0'));
    put(store::ollama_part_path(digest, 0),
        fmt::format(R"({{"N":0,"Offset":0,"Size":{},"Completed":20000}})", kLarge.size()));
  });
  scenario.sweep();
  CHECK(scenario.tally().states > 500);
}

}  // namespace
}  // namespace pullama::testing
