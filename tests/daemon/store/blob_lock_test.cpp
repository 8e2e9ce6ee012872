#include "daemon/store/blob_lock.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/fake_clock.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  testing::FakeClock clock;
  Digest digest = *Digest::parse("sha256:" + std::string(64, 'b'));
  std::string path = blob_lock_path(digest);

  Fixture() { std::filesystem::create_directory(dir / "blobs"); }

  BlobLock take() {
    auto lock = BlobLock::try_acquire(*fs, digest);
    REQUIRE(lock);
    REQUIRE(lock->has_value());
    return std::move(**lock);
  }
  bool is_free() {
    const auto lock = BlobLock::try_acquire(*fs, digest);
    REQUIRE(lock);
    return lock->has_value();
  }
};

TEST_CASE_FIXTURE(Fixture, "one holder at a time, and the lock's file goes with it") {
  {
    const BlobLock lock = take();
    CHECK(dir.exists(path));
    CHECK(*lock.still_ours());
    CHECK_FALSE(is_free());
  }
  CHECK_FALSE(dir.exists(path));
  BlobLock again = take();
  CHECK(again.release());
  CHECK(again.release());
  CHECK_FALSE(*again.still_ours());
  CHECK_FALSE(dir.exists(path));
}

TEST_CASE_FIXTURE(Fixture, "a lock file that a crash left does not count as held") {
  dir.write(path, "");
  const BlobLock lock = take();
  CHECK(*lock.still_ours());
}

TEST_CASE_FIXTURE(Fixture,
                  "a lock whose file was removed or replaced is lost, and letting go leaves the new one alone") {
  auto lock = std::make_unique<BlobLock>(take());
  std::filesystem::remove(dir / path);
  CHECK_FALSE(*lock->still_ours());
  const BlobLock second = take();
  CHECK_FALSE(*lock->still_ours());
  lock.reset();
  CHECK(dir.exists(path));
  CHECK(*second.still_ours());
}

TEST_CASE_FIXTURE(Fixture, "a lock that another process holds is free once that process is killed") {
  int ready[2], done[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto own = io::PosixFileSystem::open(dir.path().string(), false);
    auto lock = BlobLock::try_acquire(**own, digest);
    const char held = lock && *lock ? 'y' : 'n';
    char end = 0;
    if (::write(ready[1], &held, 1) != 1 || ::read(done[0], &end, 1) < 0) ::_exit(1);
    ::_exit(0);
  }
  char held = 0;
  REQUIRE(::read(ready[0], &held, 1) == 1);
  REQUIRE(held == 'y');
  CHECK_FALSE(is_free());
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(dir.exists(path));
  CHECK(is_free());
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
}

TEST_CASE_FIXTURE(Fixture, "waiting is said once, and ends with the lock") {
  auto first = std::make_optional(take());
  int told = 0;
  const auto lock = BlobLock::acquire(*fs, clock, digest, {}, [&] {
    ++told;
    first.reset();
  });
  REQUIRE(lock);
  CHECK(told == 1);
  CHECK(*lock->still_ours());
  CHECK(clock.elapsed() <= std::chrono::milliseconds(100));
}

TEST_CASE_FIXTURE(Fixture, "waiting ends with a stop") {
  const BlobLock first = take();
  std::stop_source stop;
  const auto lock = BlobLock::acquire(*fs, clock, digest, stop.get_token(), [&] { stop.request_stop(); });
  REQUIRE_FALSE(lock);
  CHECK(lock.error().code == ErrorCode::kCancelled);
  CHECK(BlobLock::acquire(*fs, clock, digest, stop.get_token(), nullptr).error().code == ErrorCode::kCancelled);
}

TEST_CASE_FIXTURE(Fixture, "a symlink or a folder as lock file is an error, not a lock") {
  dir.write("victim", "precious");
  std::filesystem::create_symlink("../victim", dir / path);
  CHECK(BlobLock::try_acquire(*fs, digest).error().code == ErrorCode::kPermission);
  std::filesystem::remove(dir / path);
  std::filesystem::create_directory(dir / path);
  CHECK_FALSE(BlobLock::try_acquire(*fs, digest));
  CHECK(dir.read("victim") == "precious");
}

}  // namespace
}  // namespace pullama::store
