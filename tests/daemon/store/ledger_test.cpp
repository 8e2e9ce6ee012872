#include "daemon/store/ledger.h"

#include <doctest/doctest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/privileges.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  std::vector<std::string> warnings;
  Digest digest = *Digest::parse("sha256:" + std::string(64, 'e'));
  io::FileStat stat = make_stat();
  std::vector<ChunkSum> sums{{0, 99, {1, 2}}, {100, 149, {0xFFFF'FFFF'FFFF'FFFF, 3}}};

  static io::FileStat make_stat() {
    io::FileStat stat;
    stat.device = 0xFFFF'FFFF'FFFF'FFFE;  // must survive SQLite's signed numbers
    stat.inode = 2;
    stat.size_bytes = 150;
    stat.mtime_ns = 1'700'000'000'000'000'001;
    stat.ctime_ns = 1'700'000'000'000'000'002;
    return stat;
  }
  std::unique_ptr<Ledger> open() {
    return Ledger::open(*fs, [this](const std::string& text) { warnings.push_back(text); });
  }
  // The ledger of whatever lies there works, or at least harms nobody; `works` says which.
  void check_usable(Ledger& ledger, bool works = true) {
    ledger.record(digest, stat, sums);
    ledger.add_history({});
    CHECK(ledger.is_verified(digest, stat) == works);
    CHECK(ledger.chunks(digest).size() == (works ? 2 : 0));
    CHECK(ledger.history(10, "").size() == (works ? 1 : 0));
  }
};

TEST_CASE_FIXTURE(Fixture, "a blob is known only as exactly the file that was verified") {
  const auto ledger = open();
  CHECK_FALSE(ledger->is_verified(digest, stat));
  ledger->record(digest, stat, sums);
  CHECK(ledger->is_verified(digest, stat));
  CHECK_FALSE(ledger->is_verified(*Digest::parse("sha256:" + std::string(64, 'f')), stat));
  for (const auto change : {+[](io::FileStat& s) { ++s.device; }, +[](io::FileStat& s) { ++s.inode; },
                            +[](io::FileStat& s) { ++s.size_bytes; }, +[](io::FileStat& s) { ++s.mtime_ns; },
                            +[](io::FileStat& s) { ++s.ctime_ns; }}) {
    io::FileStat other = stat;
    change(other);
    CHECK_FALSE(ledger->is_verified(digest, other));
  }
  CHECK(warnings.empty());
}

TEST_CASE_FIXTURE(Fixture, "what was noted is there after a restart, chunks in order") {
  open()->record(digest, stat, {sums[1], sums[0]});
  const auto ledger = open();
  CHECK(ledger->is_verified(digest, stat));
  const auto chunks = ledger->chunks(digest);
  REQUIRE(chunks.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(chunks[i].start == sums[i].start);
    CHECK(chunks[i].end == sums[i].end);
    CHECK(chunks[i].xxh3 == sums[i].xxh3);
  }
  ledger->record(digest, stat, {sums[0]});
  CHECK(ledger->chunks(digest).size() == 1);
  ledger->forget(digest);
  CHECK_FALSE(ledger->is_verified(digest, stat));
  CHECK(ledger->chunks(digest).empty());
}

TEST_CASE_FIXTURE(Fixture, "a ctime that we changed ourselves is carried over, for the same file only") {
  const auto ledger = open();
  ledger->record(digest, stat, sums);
  io::FileStat after = stat;
  after.ctime_ns += 5;
  after.mtime_ns += 4;
  io::FileStat replaced = after;
  ++replaced.inode;
  ledger->carry_over(digest, stat, replaced);
  CHECK(ledger->is_verified(digest, stat));
  io::FileStat never = stat;
  ++never.ctime_ns;
  ledger->carry_over(digest, never, after);
  CHECK_FALSE(ledger->is_verified(digest, after));
  ledger->carry_over(digest, stat, after);
  CHECK(ledger->is_verified(digest, after));
  CHECK_FALSE(ledger->is_verified(digest, stat));
  CHECK(ledger->chunks(digest).size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "history comes newest first, of one model or of all") {
  const auto ledger = open();
  for (int i = 0; i < 5; ++i) {
    HistoryEntry entry;
    entry.job = "j" + std::to_string(i);
    entry.finished_ms = i < 3 ? 1000 + i : 500;
    entry.kind = "pull";
    entry.model = i % 2 == 0 ? "even:latest" : "odd'; DROP TABLE history; --";
    entry.models_dir = "/m";
    entry.result = "completed";
    entry.error = std::string("a\0b", 3);
    entry.total_bytes = std::numeric_limits<std::uint64_t>::max();
    entry.transferred_bytes = static_cast<std::uint64_t>(i);
    entry.saved_bytes = 7;
    entry.duration_ms = 8;
    entry.retries = 9;
    ledger->add_history(entry);
  }
  const auto all = ledger->history(std::numeric_limits<std::size_t>::max(), "");
  REQUIRE(all.size() == 5);
  const std::uint64_t order[] = {2, 1, 0, 4, 3};
  for (std::size_t i = 0; i < 5; ++i) CHECK(all[i].transferred_bytes == order[i]);
  CHECK(all[0].total_bytes == std::numeric_limits<std::uint64_t>::max());
  CHECK(all[0].error == std::string("a\0b", 3));
  CHECK(all[0].job == "j2");
  CHECK(all[0].kind == "pull");
  CHECK(all[0].models_dir == "/m");
  CHECK(all[0].result == "completed");
  CHECK(all[0].saved_bytes == 7);
  CHECK(all[0].duration_ms == 8);
  CHECK(all[0].retries == 9);
  CHECK(ledger->history(2, "").size() == 2);
  CHECK(ledger->history(10, "even:latest").size() == 3);
  CHECK(ledger->history(10, "odd'; DROP TABLE history; --").size() == 2);
  CHECK(ledger->history(0, "").empty());
}

TEST_CASE_FIXTURE(Fixture, "only the user can read what was downloaded") {
  const testing::Umask lax(0);
  const auto ledger = open();
  ledger->add_history({});
  for (const auto& entry : std::filesystem::directory_iterator(dir / ".pullm")) {
    CAPTURE(entry.path().string());
    CHECK(testing::mode_of(entry.path().string()) == 0600);
  }
}

TEST_CASE_FIXTURE(Fixture, "root leaves no file of its own in somebody's store") {
  if (!testing::have_root()) return;
  REQUIRE(::chown(dir.path().c_str(), testing::kOtherUser, testing::kOtherUser) == 0);
  fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  const auto ledger = open();
  ledger->add_history({});
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path())) {
    CAPTURE(entry.path().string());
    CHECK(testing::owner_of(entry.path().string()) == testing::kOtherUser);
    ++files;
  }
  CHECK(files >= 3);
}

TEST_CASE_FIXTURE(Fixture, "a database cut off anywhere is used or made anew, never fatal") {
  open()->record(digest, stat, sums);
  const std::string whole = dir.read(kHistoryFile);
  REQUIRE(whole.size() > 4096);
  std::size_t lengths = 0, set_aside = 0;
  for (std::size_t length = 0; length < whole.size(); length += 509) {
    CAPTURE(length);
    std::filesystem::remove_all(dir / ".pullm");
    dir.write(kHistoryFile, whole.substr(0, length));
    warnings.clear();
    const auto ledger = open();
    check_usable(*ledger);
    // What is missing at the very end may have been empty space.
    CHECK(warnings.size() == (dir.exists(std::string(kHistoryFile) + ".broken") ? 1 : 0));
    set_aside += warnings.size();
    ++lengths;
  }
  CHECK(set_aside > lengths / 2);
}

TEST_CASE_FIXTURE(Fixture, "a database with wrong bytes is set aside with one warning that names it") {
  open()->record(digest, stat, sums);
  const std::string whole = dir.read(kHistoryFile);
  for (std::size_t at = 0; at < whole.size(); at += 997) {
    CAPTURE(at);
    std::string damaged = whole;
    for (std::size_t i = at; i < std::min(at + 200, damaged.size()); ++i) damaged[i] = static_cast<char>(~damaged[i]);
    std::filesystem::remove_all(dir / ".pullm");
    dir.write(kHistoryFile, damaged);
    warnings.clear();
    const auto ledger = open();
    ledger->record(digest, stat, sums);
    CHECK(ledger->is_verified(digest, stat));
    CHECK(warnings.size() <= 1);
  }
  std::filesystem::remove_all(dir / ".pullm");
  dir.write(kHistoryFile, std::string(10'000, 'x'));
  warnings.clear();
  check_usable(*open());
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find(dir / kHistoryFile) != std::string::npos);
  CHECK(dir.read(std::string(kHistoryFile) + ".broken") == std::string(10'000, 'x'));
}

TEST_CASE_FIXTURE(Fixture, "a database of another version is set aside") {
  open()->record(digest, stat, sums);
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((dir / kHistoryFile).c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, "PRAGMA user_version = 4", nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_close(database) == SQLITE_OK);
  check_usable(*open());
  CHECK(warnings.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a database of version 1 or 2, whose history named no jobs or no kinds of errors, goes on") {
  const char* older = nullptr;
  SUBCASE("1") {
    older = "ALTER TABLE history DROP COLUMN job; ALTER TABLE history DROP COLUMN error_kind; PRAGMA user_version = 1";
  }
  SUBCASE("2") { older = "ALTER TABLE history DROP COLUMN error_kind; PRAGMA user_version = 2"; }
  {
    const auto ledger = open();
    ledger->record(digest, stat, sums);
    HistoryEntry entry;
    entry.model = "old";
    ledger->add_history(entry);
  }
  sqlite3* database = nullptr;
  REQUIRE(sqlite3_open((dir / kHistoryFile).c_str(), &database) == SQLITE_OK);
  CHECK(sqlite3_exec(database, older, nullptr, nullptr, nullptr) == SQLITE_OK);
  REQUIRE(sqlite3_close(database) == SQLITE_OK);
  const auto ledger = open();
  CHECK(ledger->is_verified(digest, stat));
  HistoryEntry entry;
  entry.job = "j8";
  entry.error_kind = "not_found";
  ledger->add_history(entry);
  const auto all = ledger->history(10, "");
  REQUIRE(all.size() == 2);
  CHECK(all[0].job + all[1].job == "j8");
  CHECK(all[0].error_kind + all[1].error_kind == "not_found");
  CHECK(all[0].model + all[1].model == "old");
  CHECK(warnings.empty());
}

TEST_CASE_FIXTURE(Fixture, "a file of garbage beside a good database does no harm") {
  open()->record(digest, stat, sums);
  dir.write(std::string(kHistoryFile) + "-wal", std::string(5000, 'w'));
  dir.write(std::string(kHistoryFile) + "-shm", std::string(40'000, 's'));
  const auto ledger = open();
  ledger->record(digest, stat, sums);
  CHECK(ledger->is_verified(digest, stat));
}

TEST_CASE_FIXTURE(Fixture, "a symlink or a folder in the database's place is set aside, never followed") {
  dir.write("victim", "precious");
  for (const std::string suffix : {"", "-wal", "-shm", "-journal"}) {
    CAPTURE(suffix);
    std::filesystem::remove_all(dir / ".pullm");
    std::filesystem::create_directory(dir / ".pullm");
    std::filesystem::create_symlink("../victim", dir / (kHistoryFile + suffix));
    warnings.clear();
    check_usable(*open());
    CHECK(warnings.size() == 1);
    CHECK(dir.read("victim") == "precious");
  }
  std::filesystem::remove_all(dir / ".pullm");
  std::filesystem::create_directories(dir / kHistoryFile);
  check_usable(*open());
}

TEST_CASE_FIXTURE(Fixture, "a models dir behind a symlink has a ledger") {
  std::filesystem::create_directory(dir / "real");
  std::filesystem::create_directory_symlink("real", dir / "link");
  fs = std::move(*io::PosixFileSystem::open(dir / "link", false));
  check_usable(*open());
  CHECK(warnings.empty());
}

TEST_CASE_FIXTURE(Fixture, "a database that is deleted or replaced under us is made anew") {
  const auto ledger = open();
  ledger->record(digest, stat, sums);
  std::filesystem::remove(dir / kHistoryFile);
  CHECK_FALSE(ledger->is_verified(digest, stat));
  check_usable(*ledger);
  CHECK(dir.exists(kHistoryFile));
  std::filesystem::remove_all(dir / ".pullm");
  check_usable(*ledger);
  dir.write("other", std::string(9000, 'x'));
  std::filesystem::rename(dir / "other", dir / kHistoryFile);
  check_usable(*ledger);
  CHECK(warnings.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "without a place to write the ledger knows nothing and says so once") {
  const auto attempt = [&] {
    const auto ledger = open();
    check_usable(*ledger, false);
    return warnings.size() == 1 ? 0 : 1;
  };
  if (::geteuid() == 0) {
    std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
    CHECK(testing::as_user(testing::kStranger, [&]() -> int {
            fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
            return attempt();
          }) == 0);
  } else {
    std::filesystem::permissions(dir.path(), std::filesystem::perms(0555));
    CHECK(attempt() == 0);
    std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  }
}

TEST_CASE_FIXTURE(Fixture, "several threads may use one ledger") {
  const auto ledger = open();
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Digest::Bytes bytes{};
      bytes[0] = static_cast<std::uint8_t>(i);
      const Digest own = Digest::from_bytes(bytes);
      for (int round = 0; round < 20; ++round) {
        ledger->record(own, stat, sums);
        static_cast<void>(ledger->is_verified(own, stat));
        ledger->add_history({});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ledger->history(1000, "").size() == 80);
  CHECK(warnings.empty());
}

}  // namespace
}  // namespace pullama::store
