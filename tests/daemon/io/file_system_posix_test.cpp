#include "daemon/io/file_system_posix.h"
#include "daemon/io/os_error.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <limits>

#include "tests/support/io/privileges.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::io {
namespace {

using testing::have_root;
using testing::mode_of;
using testing::owner_of;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

struct Fixture {
  testing::TempDir dir;
  std::unique_ptr<PosixFileSystem> fs = std::move(*PosixFileSystem::open(dir.path().string(), false));

  std::unique_ptr<File> open(const std::string& path, OpenMode how, unsigned mode = 0644) {
    auto file = fs->open(path, how, mode);
    REQUIRE_MESSAGE(file, file.error().message);
    return std::move(*file);
  }
};

TEST_CASE("a models dir is made with the folders above it, readable for the model server whatever the umask") {
  const testing::TempDir dir;
  const testing::Umask strict(0077);
  const std::string path = dir / "a/b/models/";
  const auto missing = PosixFileSystem::open(path, false);
  REQUIRE_FALSE(missing);
  CHECK(io::is_missing(missing.error()));
  CHECK_FALSE(dir.exists("a"));
  const auto made = PosixFileSystem::open(path, true);
  REQUIRE(made);
  CHECK(mode_of(dir / "a") == 0755);
  CHECK(mode_of(dir / "a/b/models") == 0755);
  CHECK((*made)->native_path("blobs/x") == dir / "a/b/models/blobs/x");
  CHECK((*made)->native_path(".") == dir / "a/b/models");
  CHECK(PosixFileSystem::open(path, true));
}

TEST_CASE("a models dir that is relative, a file or below a file is refused by name") {
  const testing::TempDir dir;
  dir.write("file", "");
  for (const std::string& bad : {std::string("models"), std::string(), dir / "file", dir / "file/models"}) {
    CAPTURE(bad);
    const auto opened = PosixFileSystem::open(bad, true);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().message.find(bad) != std::string::npos);
  }
}

TEST_CASE_FIXTURE(Fixture, "a path that does not stay below the models dir is refused") {
  dir.write("in/file", "");
  for (const std::string bad :
       {"", "/", "/etc/passwd", "..", "../x", "in/../file", "in//file", "in/", "./in", "in/.", "in/./file"}) {
    CAPTURE(bad);
    CHECK(fs->stat(bad).error().code == ErrorCode::kInvalidArgument);
    CHECK(fs->open(bad, OpenMode::kReadWriteCreate).error().code == ErrorCode::kInvalidArgument);
    CHECK(fs->list(bad).error().code == ErrorCode::kInvalidArgument);
    CHECK(fs->make_directories(bad).error().code == ErrorCode::kInvalidArgument);
    CHECK(fs->rename("in/file", bad).error().code == ErrorCode::kInvalidArgument);
    CHECK(fs->remove(bad).error().code == ErrorCode::kInvalidArgument);
  }
  CHECK(fs->remove(std::string("in/file\0x", 9)).error().code == ErrorCode::kInvalidArgument);
  CHECK(dir.exists("in/file"));
}

TEST_CASE_FIXTURE(Fixture, "the models dir itself can be listed, looked at and synced as '.'") {
  dir.write("a", "");
  CHECK(fs->list(".")->size() == 1);
  CHECK(fs->stat(".")->kind == FileStat::Kind::kDirectory);
  CHECK(fs->sync_directory("."));
  CHECK(fs->make_directories("."));
  CHECK(*fs->free_bytes(".") > 0);
  CHECK(fs->open(".", OpenMode::kRead).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE_FIXTURE(Fixture, "what is made has the mode asked for whatever the umask, and what is there keeps its own") {
  const testing::Umask strict(0077);
  REQUIRE(fs->make_directories("manifests/host/ns"));
  CHECK(mode_of(dir / "manifests") == 0755);
  CHECK(mode_of(dir / "manifests/host/ns") == 0755);
  open("a", OpenMode::kReadWriteCreate, 0644);
  CHECK(mode_of(dir / "a") == 0644);
  open("b", OpenMode::kCreateNew, 0600);
  CHECK(mode_of(dir / "b") == 0600);
  open("b", OpenMode::kReadWriteCreate, 0644);
  CHECK(mode_of(dir / "b") == 0600);
  REQUIRE(open("b", OpenMode::kRead)->set_mode(0644));
  CHECK(mode_of(dir / "b") == 0644);
}

TEST_CASE_FIXTURE(Fixture, "each way of opening makes or refuses as it says") {
  CHECK(io::is_missing(fs->open("f", OpenMode::kRead).error()));
  CHECK(io::is_missing(fs->open("f", OpenMode::kReadWrite).error()));
  CHECK(io::is_missing(fs->open("no/f", OpenMode::kReadWriteCreate).error()));
  open("f", OpenMode::kCreateNew);
  CHECK(fs->open("f", OpenMode::kCreateNew).error().os_error == EEXIST);
  auto file = open("f", OpenMode::kReadWriteCreate);
  REQUIRE(file->write_at(0, bytes_of("abc")));
  auto reader = open("f", OpenMode::kRead);
  const auto refused = reader->write_at(0, bytes_of("x"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("write " + (dir / "f")) == 0);
}

TEST_CASE_FIXTURE(Fixture, "what is no regular file is not opened, and a FIFO does not hold us up") {
  std::filesystem::create_directory(dir / "folder");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0600) == 0);
  for (const OpenMode how : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kReadWriteCreate}) {
    CHECK(fs->open("folder", how).error().os_error == EISDIR);
    CHECK_FALSE(fs->open("fifo", how));
  }
  CHECK(fs->stat("fifo")->kind == FileStat::Kind::kOther);
}

TEST_CASE_FIXTURE(Fixture, "bytes are read and written at their offsets") {
  auto file = open("f", OpenMode::kReadWriteCreate);
  REQUIRE(file->write_at(4, bytes_of("efgh")));
  REQUIRE(file->write_at(0, bytes_of("abcd")));
  std::string got(10, '?');
  CHECK(*file->read_at(2, std::as_writable_bytes(std::span(got))) == 6);
  CHECK(got.substr(0, 6) == "cdefgh");
  CHECK(*file->read_at(100, std::as_writable_bytes(std::span(got))) == 0);
  CHECK(file->stat()->size_bytes == 8);
  REQUIRE(file->truncate(3));
  CHECK(dir.read("f") == "abc");
  CHECK(file->sync_data());
  CHECK(file->sync_all());
  file->start_write_back(0, 3);
  const std::uint64_t far = std::numeric_limits<std::uint64_t>::max();
  CHECK(file->write_at(far, bytes_of("x")).error().os_error == EFBIG);
  CHECK(file->truncate(far).error().os_error == EFBIG);
  CHECK_FALSE(file->read_at(far, std::as_writable_bytes(std::span(got))));
  CHECK_FALSE(file->preallocate(far));
}

TEST_CASE_FIXTURE(Fixture, "preallocating reserves the space and grows the file, or says that it cannot") {
  auto file = open("f", OpenMode::kReadWriteCreate);
  CHECK(file->preallocate(0));
  const auto done = file->preallocate(1 << 20);
  if (done) {
    CHECK(file->stat()->size_bytes == 1 << 20);
    CHECK(file->stat()->allocated_bytes >= 1 << 20);
  } else {
    CHECK(done.error().code == ErrorCode::kUnsupported);
  }
}

TEST_CASE_FIXTURE(Fixture, "a small file is read whole, a longer one than allowed is refused") {
  dir.write("f", "0123456789");
  CHECK(*fs->read_file("f", 10) == "0123456789");
  CHECK(fs->read_file("f", 9).error().code == ErrorCode::kCorrupt);
  CHECK(io::is_missing(fs->read_file("g", 9).error()));
  dir.write("empty", "");
  CHECK(fs->read_file("empty", 0)->empty());
  // Files that say nothing of their length are read all the same.
  const auto proc = PosixFileSystem::open("/proc/self", false);
  REQUIRE(proc);
  CHECK((*proc)->read_file("status", 1 << 20)->size() > 100);
  CHECK((*proc)->read_file("status", 10).error().code == ErrorCode::kCorrupt);
}

TEST_CASE_FIXTURE(Fixture, "names are listed with their kinds") {
  dir.write("folder/file", "");
  std::filesystem::create_directory(dir / "folder/sub");
  std::filesystem::create_symlink("nowhere", dir / "folder/link");
  auto entries = *fs->list("folder");
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].name == "file");
  CHECK(entries[0].kind == FileStat::Kind::kFile);
  CHECK(entries[1].kind == FileStat::Kind::kSymlink);
  CHECK(entries[2].kind == FileStat::Kind::kDirectory);
  CHECK(io::is_missing(fs->list("none").error()));
  CHECK(fs->list("folder/file").error().os_error == ENOTDIR);
}

TEST_CASE_FIXTURE(Fixture, "rename replaces, link does not, remove and touch do what they say") {
  dir.write("a", "a");
  dir.write("b", "b");
  CHECK(fs->link("a", "b").error().os_error == EEXIST);
  REQUIRE(fs->link("a", "c"));
  CHECK(fs->stat("a")->same_file(*fs->stat("c")));
  CHECK(fs->stat("a")->links == 2);
  REQUIRE(fs->rename("a", "b"));
  CHECK(dir.read("b") == "a");
  CHECK(io::is_missing(fs->stat("a").error()));
  CHECK(io::is_missing(fs->remove("a").error()));
  CHECK(io::is_missing(fs->rename("a", "b").error()));
  REQUIRE(fs->make_directories("d/e"));
  CHECK(fs->remove("d").error().os_error == EISDIR);
  CHECK(fs->remove_directory("d").error().os_error == ENOTEMPTY);
  CHECK(fs->remove_directory("d/e"));
  const timespec old[2] = {{1000, 0}, {1000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (dir / "b").c_str(), old, 0) == 0);
  const auto before = *fs->stat("b");
  CHECK(before.mtime_ns == 1'000'000'000'000);
  REQUIRE(fs->touch("b"));
  CHECK(fs->stat("b")->mtime_ns > before.mtime_ns);
  CHECK(fs->remove("b"));
  CHECK_FALSE(dir.exists("b"));
}

TEST_CASE_FIXTURE(Fixture, "a lock is held by one File at a time and ends with it") {
  auto first = open("f", OpenMode::kReadWriteCreate);
  auto second = open("f", OpenMode::kReadWriteCreate);
  CHECK(*first->try_lock());
  CHECK(*first->try_lock());
  CHECK_FALSE(*second->try_lock());
  first.reset();
  CHECK(*second->try_lock());
}

TEST_CASE_FIXTURE(Fixture, "somebody else who has the file open is noticed") {
  auto file = open("f", OpenMode::kReadWriteCreate);
  const auto alone = file->nobody_else_has_it_open();
  if (!alone) {
    CHECK(alone.error().code == ErrorCode::kUnsupported);
    MESSAGE("left out: no leases on this file system");
    return;
  }
  CHECK(*alone);
  CHECK(*file->nobody_else_has_it_open());
  auto other = open("f", OpenMode::kRead);
  CHECK_FALSE(*file->nobody_else_has_it_open());
  other.reset();
  CHECK(*file->nobody_else_has_it_open());
}

TEST_CASE_FIXTURE(Fixture, "a clone is a file of its own with the same bytes, or none") {
  dir.write("a", "abc");
  const auto cloned = fs->reflink("a", "b");
  if (cloned) {
    CHECK(dir.read("b") == "abc");
    CHECK_FALSE(fs->stat("a")->same_file(*fs->stat("b")));
  } else {
    CHECK(cloned.error().code == ErrorCode::kUnsupported);
    CHECK_FALSE(dir.exists("b"));
  }
  dir.write("c", "keep");
  CHECK(fs->reflink("a", "c").error().os_error == EEXIST);
  CHECK(dir.read("c") == "keep");
}

TEST_CASE_FIXTURE(Fixture, "a folder without write permission is a permission error that names the file") {
  REQUIRE(fs->make_directories("d"));
  const std::string path = dir.path().string();
  const auto attempt = [&]() -> int {
    auto other = PosixFileSystem::open(path, false);
    if (!other) return 2;
    auto file = (*other)->open("d/f", OpenMode::kReadWriteCreate);
    if (file) return 3;
    if (file.error().code != ErrorCode::kPermission) return 4;
    return file.error().message.find(path + "/d/f") == std::string::npos ? 5 : 0;
  };
  if (::geteuid() == 0) {
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
    CHECK(testing::as_user(testing::kStranger, attempt) == 0);
  } else {
    REQUIRE(::chmod((dir / "d").c_str(), 0555) == 0);
    CHECK(attempt() == 0);
    REQUIRE(::chmod((dir / "d").c_str(), 0755) == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "root gives what it makes in somebody's store to the store's owner") {
  if (!have_root()) return;
  REQUIRE(::chown(dir.path().c_str(), testing::kOtherUser, testing::kOtherUser) == 0);
  auto theirs = PosixFileSystem::open(dir.path().string(), false);
  REQUIRE(theirs);
  REQUIRE((*theirs)->make_directories("blobs/deep"));
  REQUIRE((*theirs)->open("blobs/f", OpenMode::kCreateNew));
  CHECK(owner_of(dir / "blobs") == testing::kOtherUser);
  CHECK(owner_of(dir / "blobs/deep") == testing::kOtherUser);
  CHECK(owner_of(dir / "blobs/f") == testing::kOtherUser);
  CHECK(mode_of(dir / "blobs/f") == 0644);
  // What lay there before is given with its mode.
  dir.write("blobs/old", "");
  auto old = (*theirs)->open("blobs/old", OpenMode::kReadWrite);
  REQUIRE(old);
  CHECK(owner_of(dir / "blobs/old") == 0);
  REQUIRE((*old)->set_mode(0644));
  CHECK(owner_of(dir / "blobs/old") == testing::kOtherUser);

  const auto made = PosixFileSystem::open(dir / "new/models", true);
  REQUIRE(made);
  CHECK(owner_of(dir / "new") == testing::kOtherUser);
  CHECK(owner_of(dir / "new/models") == testing::kOtherUser);
}

}  // namespace
}  // namespace pullama::io
