// What callers may rely on, tried on the real file system and on the one that crash tests use in its stead.
#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

#include "daemon/io/file_system_posix.h"
#include "tests/support/io/crash_file_system.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::io {
namespace {

struct OnDisk {
  testing::TempDir dir;
  std::unique_ptr<FileSystem> fs = std::move(*PosixFileSystem::open(dir.path().string(), false));
};

struct InMemory {
  std::unique_ptr<FileSystem> fs = std::make_unique<testing::CrashFileSystem>();
};

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void put(FileSystem& fs, const std::string& path, const std::string& content) {
  auto file = fs.open(path, OpenMode::kReadWriteCreate);
  REQUIRE_MESSAGE(file, file.error().message);
  REQUIRE((*file)->truncate(0));
  REQUIRE((*file)->write_at(0, bytes_of(content)));
}

template <class T>
int error_of(const Result<T>& result) {
  return result ? 0 : result.error().os_error;
}

TEST_CASE_TEMPLATE("opening makes or refuses", Where, OnDisk, InMemory) {
  Where where;
  FileSystem& fs = *where.fs;
  CHECK(error_of(fs.open("f", OpenMode::kRead)) == ENOENT);
  CHECK(error_of(fs.open("f", OpenMode::kReadWrite)) == ENOENT);
  CHECK(error_of(fs.open("no/f", OpenMode::kReadWriteCreate)) == ENOENT);
  CHECK(fs.open("f", OpenMode::kCreateNew));
  CHECK(error_of(fs.open("f", OpenMode::kCreateNew)) == EEXIST);
  CHECK(fs.open("f", OpenMode::kReadWriteCreate));
  CHECK(error_of(fs.open("f/g", OpenMode::kRead)) == ENOTDIR);
  REQUIRE(fs.make_directories("d"));
  CHECK(error_of(fs.open("d", OpenMode::kRead)) == EISDIR);
  for (const std::string bad : {"", "/f", "../f", "d/../f", "d//f", "d/", "./f", "."}) {
    CAPTURE(bad);
    CHECK(fs.open(bad, OpenMode::kRead).error().code == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE_TEMPLATE("bytes, sizes and reading past the end", Where, OnDisk, InMemory) {
  Where where;
  FileSystem& fs = *where.fs;
  auto file = std::move(*fs.open("f", OpenMode::kReadWriteCreate));
  REQUIRE(file->write_at(3, bytes_of("def")));
  CHECK(*fs.read_file("f", 6) == std::string("\0\0\0def", 6));
  CHECK(fs.read_file("f", 5).error().code == ErrorCode::kCorrupt);
  std::string got(4, '?');
  CHECK(*file->read_at(4, std::as_writable_bytes(std::span(got))) == 2);
  CHECK(got == "ef??");
  CHECK(*file->read_at(6, std::as_writable_bytes(std::span(got))) == 0);
  REQUIRE(file->truncate(8));
  CHECK(file->stat()->size_bytes == 8);
  auto reader = std::move(*fs.open("f", OpenMode::kRead));
  CHECK(error_of(reader->write_at(0, bytes_of("x"))) == EBADF);
  CHECK(error_of(reader->truncate(0)) == EINVAL);
  CHECK(error_of(file->write_at(~std::uint64_t{0}, bytes_of("x"))) == EFBIG);
  REQUIRE(fs.remove("f"));
  // What is open stays, without a name.
  REQUIRE(file->write_at(0, bytes_of("still")));
  CHECK(file->stat()->links == 0);
  CHECK(file->stat()->size_bytes == 8);
}

TEST_CASE_TEMPLATE("names, links and what they do to a file's times", Where, OnDisk, InMemory) {
  Where where;
  FileSystem& fs = *where.fs;
  put(fs, "a", "a");
  put(fs, "b", "b");
  REQUIRE(fs.make_directories("d/e"));
  const FileStat before = *fs.stat("a");
  CHECK(before.kind == FileStat::Kind::kFile);
  CHECK(error_of(fs.link("a", "b")) == EEXIST);
  CHECK(error_of(fs.link("none", "c")) == ENOENT);
  CHECK(fs.link("d", "c").error().code == ErrorCode::kUnsupported);
  REQUIRE(fs.link("a", "d/a"));
  CHECK(fs.stat("d/a")->same_file(before));
  CHECK(fs.stat("a")->links == 2);
  CHECK(fs.stat("a")->mtime_ns == before.mtime_ns);
  REQUIRE(fs.rename("a", "d/a"));  // two names of one file: nothing happens
  CHECK(fs.stat("a")->links == 2);
  REQUIRE(fs.rename("d/a", "b"));
  CHECK(fs.stat("b")->same_file(before));
  CHECK(error_of(fs.stat("d/a")) == ENOENT);
  CHECK(error_of(fs.rename("none", "b")) == ENOENT);
  CHECK(error_of(fs.rename("b", "d")) == EISDIR);
  CHECK(error_of(fs.rename("d", "b")) == ENOTDIR);
  REQUIRE(fs.rename("d", "g"));
  CHECK(fs.stat("g/e")->kind == FileStat::Kind::kDirectory);
  REQUIRE(fs.remove("b"));
  CHECK(fs.stat("a")->links == 1);
  CHECK(error_of(fs.remove("b")) == ENOENT);
  CHECK(error_of(fs.touch("b")) == ENOENT);
  CHECK(fs.touch("a"));
  CHECK(fs.stat("a")->mtime_ns >= before.mtime_ns);
}

TEST_CASE_TEMPLATE("folders", Where, OnDisk, InMemory) {
  Where where;
  FileSystem& fs = *where.fs;
  REQUIRE(fs.make_directories("a/b/c"));
  REQUIRE(fs.make_directories("a/b/c"));
  put(fs, "a/f", "");
  CHECK(error_of(fs.make_directories("a/f/g")) == ENOTDIR);
  auto entries = *fs.list("a");
  std::sort(entries.begin(), entries.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].name == "b");
  CHECK(entries[0].kind == FileStat::Kind::kDirectory);
  CHECK(entries[1].kind == FileStat::Kind::kFile);
  CHECK(fs.list(".")->size() == 1);
  CHECK(error_of(fs.list("none")) == ENOENT);
  CHECK(error_of(fs.list("a/f")) == ENOTDIR);
  CHECK(error_of(fs.remove("a/b")) == EISDIR);
  CHECK(error_of(fs.remove_directory("a/b")) == ENOTEMPTY);
  CHECK(error_of(fs.remove_directory("a/f")) == ENOTDIR);
  CHECK(fs.remove_directory("a/b/c"));
  CHECK(fs.sync_directory("a/b"));
  CHECK(error_of(fs.sync_directory("a/b/c")) == ENOENT);
  CHECK(*fs.free_bytes("a") > 0);
}

TEST_CASE_TEMPLATE("locks belong to one open file", Where, OnDisk, InMemory) {
  Where where;
  auto first = std::move(*where.fs->open("f", OpenMode::kReadWriteCreate));
  auto second = std::move(*where.fs->open("f", OpenMode::kRead));
  CHECK(*first->try_lock());
  CHECK(*first->try_lock());
  CHECK_FALSE(*second->try_lock());
  first.reset();
  CHECK(*second->try_lock());
}

}  // namespace
}  // namespace pullama::io
