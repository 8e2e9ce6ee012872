// The daemon is killed, or the power goes, while a record of unsynced bytes says more than the checkpoint: after a kill
// they count, after a power cut only what the disk still has.
#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "daemon/engine/unsynced_checkpoint.h"
#include "daemon/io/atomic_write.h"
#include "daemon/store/models_dir.h"
#include "tests/crash/pull_world.h"
#include "tests/crash/tally.h"
#include "tests/support/io/content.h"

namespace pullama::testing {
namespace {

constexpr std::uint64_t kPiece = 8 << 10;

std::uint64_t recorded_bytes(CrashFileSystem& disk, const Digest& digest, std::uint64_t size) {
  const auto file = disk.read_file(store::unsynced_path(digest), 2 * engine::kUnsyncedPlaceBytes);
  const auto record = file ? engine::parse_unsynced(*file, digest, size) : std::nullopt;
  return record ? record->checkpoint.plan.received_bytes() : 0;
}

// The disk as it was when all but one piece of the blob had been written, recorded, and not synced.
struct Interrupted {
  const std::string large = content(200'000, 1);
  PullWorld world{{large, "{}"}};
  const Digest digest = world.digest(0);
  CrashFileSystem disk;
  MemoryLedger ledger;
  std::uint64_t recorded = 0;
  std::unique_ptr<CrashFileSystem> killed;

  explicit Interrupted(const std::function<void(Interrupted&)>& prepare = {}) {
    if (prepare) prepare(*this);
    world.set_on_piece([&](std::uint64_t bytes) {
      if (killed || bytes < 150'000) return;
      // The piece before may not have been written yet; all before that one has.
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (recorded_bytes(disk, digest, large.size()) + 2 * kPiece < bytes &&
             std::chrono::steady_clock::now() < give_up) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      killed = disk.recover(Survivors::kEverything);
      recorded = recorded_bytes(*killed, digest, large.size());
      disk.cut_now();
    });
    CHECK_FALSE(world.pull(disk, ledger, Pace::kUnsynced));
    world.set_on_piece({});
    REQUIRE(killed);
    REQUIRE(recorded + 2 * kPiece >= 150'000);
    REQUIRE_FALSE(killed->stat(store::checkpoint_path(digest)));
  }

  // Beyond what is finished: how much of the large blob travels again or for the first time.
  std::uint64_t fetched_after(CrashFileSystem& after) {
    MemoryLedger left;
    const bool small_is_there = after.stat(store::blob_path(world.digest(1))).has_value();
    const auto pulled = world.pull(after, left, Pace::kFast);
    REQUIRE_MESSAGE(pulled, pulled.error().message);
    for (const auto& broken : broken_promises(after, world.truth())) FAIL_CHECK(broken);
    CHECK_FALSE(after.stat(store::unsynced_path(digest)));
    return pulled->fetched_bytes - (small_is_there ? 0 : world.total_bytes() - large.size());
  }
};

TEST_CASE("what was written before a kill does not travel twice, synced or not") {
  Interrupted pull;
  CHECK(pull.fetched_after(*pull.killed) == pull.large.size() - pull.recorded);
}

TEST_CASE("after a power cut a record of unsynced bytes counts as far as the disk agrees") {
  Interrupted pull;
  CHECK(pull.fetched_after(*pull.disk.recover(Survivors::kOnlySynced)) == pull.large.size());
  std::mt19937_64 draw(test_seed());
  CAPTURE(test_seed());
  for (int i = 0; i < 40; ++i) pull.fetched_after(*pull.disk.recover(Survivors::kRandom, draw()));
}

TEST_CASE("a byte that changed since the record was written takes the record with it") {
  Interrupted pull;
  auto file = pull.killed->open(store::partial_path(pull.digest), io::OpenMode::kReadWrite);
  REQUIRE(file);
  const std::byte other{static_cast<unsigned char>(~pull.large[100'000])};
  REQUIRE((*file)->write_at(100'000, std::span(&other, 1)));
  file->reset();
  CHECK(pull.fetched_after(*pull.killed) == pull.large.size());
}

TEST_CASE("a record is not written into somebody else's file") {
  const std::string theirs = content(5'000, 9);
  const auto plant = [&](Interrupted& pull, const std::string& path) {
    REQUIRE(pull.disk.make_directories(store::kStateDir));
    if (!pull.disk.stat("theirs")) REQUIRE(io::atomic_write(pull.disk, "theirs", theirs, 0644));
    REQUIRE(pull.disk.link("theirs", path));
  };
  Interrupted pull([&](Interrupted& p) {
    plant(p, store::unsynced_path(p.digest));
    plant(p, store::unsynced_path(p.digest) + store::kTemporarySuffix);
  });
  CHECK(*pull.killed->read_file("theirs", 1 << 20) == theirs);
  CHECK(pull.fetched_after(*pull.killed) == pull.large.size() - pull.recorded);
}

}  // namespace
}  // namespace pullama::testing
