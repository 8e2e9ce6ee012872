#include "daemon/store/keep.h"
#include "daemon/io/os_error.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/faulty_file_system.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

using Operation = testing::FaultyFileSystem::Operation;

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> posix = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  testing::FaultyFileSystem fs{*posix};
  Keep keep{fs};
  Digest digest = *Digest::parse("sha256:" + std::string(64, 'a'));
  std::string partial = partial_path(digest);
  std::string link = keep_path(digest);
};

TEST_CASE_FIXTURE(Fixture, "a partial that another program deletes comes back") {
  dir.write(partial, "bytes");
  REQUIRE(keep.hold(digest, partial));
  REQUIRE(keep.hold(digest, partial));
  CHECK(fs.stat(partial)->links == 2);
  CHECK_FALSE(*keep.restore(digest, partial));
  REQUIRE(fs.remove(partial));
  const auto synced = fs.count(Operation::kSyncDirectory, "blobs");
  CHECK(*keep.restore(digest, partial));
  CHECK(fs.count(Operation::kSyncDirectory, "blobs") == synced + 1);
  CHECK(dir.read(partial) == "bytes");
  REQUIRE(keep.release(digest));
  REQUIRE(keep.release(digest));
  CHECK(fs.stat(partial)->links == 1);
  REQUIRE(fs.remove(partial));
  CHECK_FALSE(*keep.restore(digest, partial));
}

TEST_CASE_FIXTURE(Fixture, "a link to another file is replaced") {
  dir.write(partial, "new");
  dir.write(link, "old");
  dir.write(link + ".tmp", "left by a crash");
  REQUIRE(keep.hold(digest, partial));
  CHECK(fs.stat(partial)->same_file(*fs.stat(link)));
  CHECK_FALSE(dir.exists(link + ".tmp"));
}

TEST_CASE_FIXTURE(Fixture, "where hard links cannot be made all goes on without") {
  dir.write(partial, "bytes");
  fs.fail(Operation::kLink, EXDEV, 1, testing::FaultyFileSystem::kAlways);
  CHECK(keep.hold(digest, partial));
  dir.write(link, "of older days");
  REQUIRE(fs.remove(partial));
  CHECK_FALSE(*keep.restore(digest, partial));
  CHECK(keep.release(digest));
}

TEST_CASE_FIXTURE(Fixture, "what is not there cannot be held, and what fails is said") {
  CHECK(io::is_missing(keep.hold(digest, partial).error()));
  dir.write(partial, "bytes");
  fs.fail(Operation::kLink, ENOSPC);
  CHECK(keep.hold(digest, partial).error().code == ErrorCode::kDiskFull);
  REQUIRE(keep.hold(digest, partial));
  REQUIRE(fs.remove(partial));
  fs.fail(Operation::kSyncDirectory, EIO);
  CHECK_FALSE(keep.restore(digest, partial));
}

TEST_CASE_FIXTURE(Fixture, "a symlink planted as a link is not brought into blobs") {
  dir.write("victim", "precious");
  REQUIRE(fs.make_directories(kKeepDir));
  REQUIRE(fs.make_directories(kBlobsDir));
  std::filesystem::create_symlink("../../victim", dir / link);
  CHECK_FALSE(*keep.restore(digest, partial));
  CHECK_FALSE(dir.exists(partial));
}

}  // namespace
}  // namespace pullama::store
