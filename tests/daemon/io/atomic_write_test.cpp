#include "daemon/io/atomic_write.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "tests/support/io/faulty_file_system.h"
#include "tests/support/io/privileges.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::io {
namespace {

using testing::FaultyFileSystem;
using Operation = testing::FaultyFileSystem::Operation;

struct Fixture {
  testing::TempDir dir;
  std::unique_ptr<PosixFileSystem> fs = std::move(*PosixFileSystem::open(dir.path().string(), false));
};

TEST_CASE_FIXTURE(Fixture, "a file is made and replaced, with the mode asked for whatever the umask") {
  const testing::Umask strict(0077);
  REQUIRE(atomic_write(*fs, "state.json", "old", 0644));
  CHECK(dir.read("state.json") == "old");
  CHECK(testing::mode_of(dir / "state.json") == 0644);
  REQUIRE(atomic_write(*fs, "state.json", "", 0600));
  CHECK(dir.read("state.json").empty());
  CHECK(testing::mode_of(dir / "state.json") == 0600);
  CHECK_FALSE(dir.exists("state.json.tmp"));
}

TEST_CASE_FIXTURE(Fixture, "whatever fails before the rename leaves the old file and no temporary") {
  const struct {
    Operation operation;
    int error;
    ErrorCode code;
  } cases[] = {
      {Operation::kCreate, EACCES, ErrorCode::kPermission}, {Operation::kWrite, ENOSPC, ErrorCode::kDiskFull},
      {Operation::kWrite, EIO, ErrorCode::kInternal},       {Operation::kSync, EIO, ErrorCode::kInternal},
      {Operation::kSync, EDQUOT, ErrorCode::kDiskFull},     {Operation::kRename, EIO, ErrorCode::kInternal},
  };
  dir.write("state.json", "old");
  for (const auto& c : cases) {
    FaultyFileSystem faulty(*fs);
    faulty.fail(c.operation, c.error);
    const auto done = atomic_write(faulty, "state.json", "new", 0644);
    REQUIRE_FALSE(done);
    CHECK(done.error().code == c.code);
    CHECK(done.error().os_error == c.error);
    CHECK(faulty.failures() == 1);
    CHECK(dir.read("state.json") == "old");
    CHECK_FALSE(dir.exists("state.json.tmp"));
  }
}

TEST_CASE_FIXTURE(Fixture, "a folder that cannot be synced is an error although the new file is there") {
  FaultyFileSystem faulty(*fs);
  faulty.fail(Operation::kSyncDirectory, EIO);
  CHECK_FALSE(atomic_write(faulty, "state.json", "new", 0644));
  CHECK(dir.read("state.json") == "new");
}

TEST_CASE_FIXTURE(Fixture, "the temporary may lie in another folder, and both are synced") {
  dir.write("a/deep/old", "old");
  FaultyFileSystem counting(*fs);
  REQUIRE(atomic_write(counting, "a/deep/old", "new", 0644, "a/.t"));
  CHECK(dir.read("a/deep/old") == "new");
  CHECK_FALSE(dir.exists("a/.t"));
  CHECK(counting.count(Operation::kSyncDirectory) == 2);
}

TEST_CASE_FIXTURE(Fixture, "a temporary that lies there is replaced, a symlink never followed") {
  dir.write("victim", "precious");
  dir.write("state.json.tmp", "left by a crash, longer than what comes");
  REQUIRE(atomic_write(*fs, "state.json", "one", 0644));
  CHECK(dir.read("state.json") == "one");

  std::filesystem::create_symlink("victim", dir / "state.json.tmp");
  REQUIRE(atomic_write(*fs, "state.json", "two", 0644));
  CHECK(dir.read("state.json") == "two");

  std::filesystem::create_hard_link(dir / "victim", dir / "state.json.tmp");
  REQUIRE(atomic_write(*fs, "state.json", "three", 0644));
  CHECK(dir.read("state.json") == "three");

  std::filesystem::remove(dir / "state.json");
  std::filesystem::create_symlink("victim", dir / "state.json");
  REQUIRE(atomic_write(*fs, "state.json", "four", 0644));
  CHECK(dir.read("state.json") == "four");
  CHECK_FALSE(std::filesystem::is_symlink(dir / "state.json"));
  CHECK(dir.read("victim") == "precious");
}

TEST_CASE_FIXTURE(Fixture, "a folder in the way is an error that names it") {
  std::filesystem::create_directory(dir / "state.json");
  const auto done = atomic_write(*fs, "state.json", "new", 0644);
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find(dir / "state.json") != std::string::npos);
  CHECK_FALSE(dir.exists("state.json.tmp"));
}

}  // namespace
}  // namespace pullama::io
