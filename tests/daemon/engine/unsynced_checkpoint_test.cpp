#include "daemon/engine/unsynced_checkpoint.h"

#include <doctest/doctest.h>

#include <string>

#include "daemon/io/atomic_write.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/content.h"
#include "tests/support/io/crash_file_system.h"

using namespace pullama;
using engine::Checkpoint;
using engine::ChunkPlan;
using engine::kUnsyncedPlaceBytes;

namespace {

const Digest kDigest = *Digest::parse("sha256:" + std::string(64, 'c'));
constexpr std::uint64_t kSize = 1000;
const std::string kContent = testing::content(kSize, 3);

// Of the first `received` bytes, in chunks of 300.
ChunkPlan plan_of(std::uint64_t received) {
  auto plan = ChunkPlan::fresh(kSize, 300);
  const auto claim = plan.claim(kSize, kSize);
  for (std::uint64_t at = 0; at < received;) {
    const std::uint64_t end = std::min(received, (at / 300 + 1) * 300);
    io::Xxh3 state = plan.take_running(at);
    state.update(std::as_bytes(std::span(kContent.data() + at, end - at)));
    plan.commit(at, end - at, state);
    at = end;
  }
  plan.release(*claim, received, std::nullopt);
  return plan;
}

std::string checkpoint_text(std::uint64_t received, std::uint64_t inode = 42) {
  return engine::format_checkpoint(kDigest, inode, kSize, 0, std::nullopt, plan_of(received));
}

// The file of two records: sequence and what was received.
std::string file_of(std::uint64_t sequence, std::uint64_t received, std::uint64_t next_sequence,
                    std::uint64_t next_received) {
  std::string file = engine::format_unsynced(sequence, checkpoint_text(received));
  file.resize(kUnsyncedPlaceBytes, '\0');
  return file + engine::format_unsynced(next_sequence, checkpoint_text(next_received));
}

std::uint64_t received_in(const std::string& file) {
  const auto found = engine::parse_unsynced(file, kDigest, kSize);
  return found ? found->checkpoint.plan.received_bytes() : 0;
}

struct Disk {
  testing::CrashFileSystem fs;
  std::uint64_t inode = 0;
  const engine::BlobRef blob{kDigest, kSize};

  Disk() {
    REQUIRE(fs.make_directories(store::kBlobsDir));
    REQUIRE(fs.make_directories(store::kStateDir));
    REQUIRE(io::atomic_write(fs, store::partial_path(kDigest), kContent, 0644));
    inode = fs.stat(store::partial_path(kDigest))->inode;
  }
  void record(std::uint64_t received) { record(engine::format_unsynced(1, checkpoint_text(received, inode))); }
  void record(const std::string& text) { REQUIRE(io::atomic_write(fs, store::unsynced_path(kDigest), text, 0600)); }
  void damage(std::uint64_t at) {
    auto file = fs.open(store::partial_path(kDigest), io::OpenMode::kReadWrite);
    const std::byte other{static_cast<unsigned char>(~kContent[at])};
    REQUIRE((*file)->write_at(at, std::span(&other, 1)));
  }
  std::optional<Checkpoint> load(std::uint64_t synced, const std::stop_token& stop = {}) {
    auto partial = engine::PartialFile::open(fs, kDigest);
    REQUIRE(partial);
    const auto checkpoint = engine::parse_checkpoint(checkpoint_text(synced, inode), kDigest, kSize);
    return engine::load_unsynced(fs, *partial, blob, synced > 0 ? &*checkpoint : nullptr, stop);
  }
};

}  // namespace

TEST_CASE("of two records the newer counts, wherever it lies") {
  CHECK(received_in(file_of(7, 400, 8, 500)) == 500);
  CHECK(received_in(file_of(9, 400, 8, 500)) == 400);
  CHECK(received_in(engine::format_unsynced(1, checkpoint_text(450))) == 450);
  CHECK(received_in("") == 0);
  CHECK(received_in(std::string(2 * kUnsyncedPlaceBytes, '\0')) == 0);
}

TEST_CASE("a kill amid a write of a record leaves the other one") {
  const std::string before = file_of(7, 400, 8, 500);
  const std::string next = engine::format_unsynced(9, checkpoint_text(600));
  for (std::size_t written = 0; written <= next.size(); ++written) {
    CAPTURE(written);
    std::string torn = before;
    torn.replace(0, written, next, 0, written);
    // The last few bytes are those of any record.
    CHECK(received_in(torn) == (torn.starts_with(next) ? 600 : 500));
  }
}

TEST_CASE("no byte of a record can change unnoticed") {
  const std::string record = engine::format_unsynced(1, checkpoint_text(450));
  for (std::size_t at = 0; at < record.size(); ++at) {
    CAPTURE(at);
    std::string changed = record;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    CHECK(received_in(changed) == 0);
  }
  CHECK_FALSE(engine::parse_unsynced(record, *Digest::parse("sha256:" + std::string(64, 'd')), kSize));
  CHECK_FALSE(engine::parse_unsynced(record, kDigest, kSize + 1));
}

TEST_CASE("a record counts where it says more than the checkpoint and the partial agrees") {
  Disk disk;
  CHECK_FALSE(disk.load(300));
  disk.record(750);
  for (const std::uint64_t synced : {0U, 300U, 450U, 700U}) {
    CAPTURE(synced);
    const auto found = disk.load(synced);
    REQUIRE(found);
    CHECK(found->plan.received_bytes() == 750);
    // What the checkpoint says too is the resume check's to look at, beside the transfer.
    for (const auto& chunk : found->plan.chunks()) {
      CAPTURE(chunk.start);
      CHECK(chunk.checked == (chunk.received == 0 || chunk.next() > synced / 300 * 300));
    }
  }
  CHECK_FALSE(disk.load(750));
  CHECK_FALSE(disk.load(900));
}

TEST_CASE("a record that the partial does not bear out does not count") {
  Disk disk;
  disk.record(750);
  SUBCASE("beyond the checkpoint") {
    disk.damage(740);
    CHECK_FALSE(disk.load(450));
    CHECK_FALSE(disk.load(0));
  }
  SUBCASE("what both say is looked at later") {
    disk.damage(100);
    CHECK(disk.load(450));
    CHECK_FALSE(disk.load(0));
  }
  SUBCASE("what nobody says does not matter") {
    disk.damage(751);
    CHECK(disk.load(450));
  }
  SUBCASE("another file") {
    disk.record(engine::format_unsynced(1, checkpoint_text(750, disk.inode + 1)));
    CHECK_FALSE(disk.load(0));
  }
  SUBCASE("a shorter file") {
    REQUIRE((*disk.fs.open(store::partial_path(kDigest), io::OpenMode::kReadWrite))->truncate(900));
    CHECK_FALSE(disk.load(0));
  }
  SUBCASE("no time to look") {
    std::stop_source stop;
    stop.request_stop();
    CHECK_FALSE(disk.load(450, stop.get_token()));
  }
}
