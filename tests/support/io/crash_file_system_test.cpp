#include "tests/support/io/crash_file_system.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <set>

namespace pullama::testing {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void put(io::FileSystem& fs, const std::string& path, const std::string& content) {
  auto file = fs.open(path, io::OpenMode::kReadWriteCreate);
  REQUIRE(file);
  REQUIRE((*file)->truncate(0));
  REQUIRE((*file)->write_at(0, bytes_of(content)));
}

void put_durably(io::FileSystem& fs, const std::string& path, const std::string& content) {
  put(fs, path, content);
  REQUIRE((*fs.open(path, io::OpenMode::kReadWrite))->sync_all());
  REQUIRE(fs.sync_directory("."));
}

std::string content(io::FileSystem& fs, const std::string& path) {
  auto text = fs.read_file(path, 1 << 20);
  return text ? *text : "(none)";
}

TEST_CASE("bytes that were not synced are lost, kept, or torn by pieces") {
  CrashFileSystem disk;
  const std::string old(40'000, 'o'), fresh(40'000, 'n');
  put_durably(disk, "f", old);
  auto file = std::move(*disk.open("f", io::OpenMode::kReadWrite));
  REQUIRE(file->write_at(0, bytes_of(fresh)));
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "f") == old);
  CHECK(content(*disk.recover(Survivors::kEverything), "f") == fresh);
  bool torn = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string left = content(*disk.recover(Survivors::kRandom, seed), "f");
    CHECK(left.size() == old.size());
    torn = torn || (left.find('o') != std::string::npos && left.find('n') != std::string::npos);
    CHECK(left == content(*disk.recover(Survivors::kRandom, seed), "f"));
  }
  CHECK(torn);
  REQUIRE(file->sync_data());
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "f") == fresh);
}

TEST_CASE("a name is not durable because its file is, nor the other way round") {
  CrashFileSystem disk;
  put(disk, "synced-file", "x");
  REQUIRE((*disk.open("synced-file", io::OpenMode::kReadWrite))->sync_all());
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "synced-file") == "(none)");
  REQUIRE(disk.sync_directory("."));
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "synced-file") == "x");
  put(disk, "synced-name", "y");
  REQUIRE(disk.sync_directory("."));
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "synced-name").empty());
  REQUIRE(disk.remove("synced-file"));
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "synced-file") == "x");
}

TEST_CASE("a rename within a folder happens whole or not at all, and a folder's changes in their order") {
  CrashFileSystem disk;
  put_durably(disk, "to", "old");
  put_durably(disk, "from", "new");
  REQUIRE(disk.rename("from", "to"));
  put(disk, "later", "");
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    auto after = disk.recover(Survivors::kRandom, seed);
    const bool renamed = content(*after, "to") == "new";
    CHECK(content(*after, "from") == (renamed ? "(none)" : "new"));
    if (!renamed) CHECK(content(*after, "to") == "old");
    const bool has_later = after->stat("later").has_value();
    if (has_later) CHECK(renamed);
    seen.insert(std::string(renamed ? "renamed " : "") + (has_later ? "later" : ""));
  }
  CHECK(seen.size() == 3);
}

TEST_CASE("a rename between folders may leave both names, never none") {
  CrashFileSystem disk;
  REQUIRE(disk.make_directories("a"));
  REQUIRE(disk.make_directories("b"));
  put(disk, "a/f", "x");
  REQUIRE((*disk.open("a/f", io::OpenMode::kReadWrite))->sync_all());
  REQUIRE(disk.sync_directory("a"));
  REQUIRE(disk.rename("a/f", "b/f"));
  int only_old = 0, both = 0, only_new = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    auto after = disk.recover(Survivors::kRandom, seed);
    const bool old_name = after->stat("a/f").has_value(), new_name = after->stat("b/f").has_value();
    CHECK((old_name || new_name));
    ++(old_name && new_name ? both : old_name ? only_old : only_new);
    if (old_name && new_name) CHECK(after->stat("a/f")->links == 2);
  }
  CHECK(only_old > 0);
  CHECK(both > 0);
  CHECK(only_new > 0);
  REQUIRE(disk.sync_directory("a"));
  CHECK(disk.recover(Survivors::kOnlySynced)->stat("b/f").has_value());
  CHECK_FALSE(disk.recover(Survivors::kOnlySynced)->stat("a/f").has_value());
}

TEST_CASE("the power goes before the operation that was named, for everybody and for good") {
  CrashFileSystem disk;
  auto file = std::move(*disk.open("f", io::OpenMode::kReadWriteCreate));
  const auto so_far = disk.mutations();
  disk.cut_before(2);
  CHECK(file->write_at(0, bytes_of("one")));
  CHECK_FALSE(disk.is_off());
  CHECK(file->write_at(0, bytes_of("two")).error().os_error == EIO);
  CHECK(disk.is_off());
  CHECK(disk.mutations() == so_far + 1);
  CHECK(disk.stat("f").error().os_error == EIO);
  CHECK(disk.remove("none").error().os_error == EIO);
  CHECK(disk.open("g", io::OpenMode::kReadWriteCreate).error().os_error == EIO);
  CHECK(file->try_lock().error().os_error == EIO);
  auto after = disk.recover(Survivors::kEverything);
  CHECK(content(*after, "f") == "one");
  CHECK_FALSE(after->is_off());
}

TEST_CASE("a write or a sync that the power goes amid of is half done") {
  const std::string old(8, 'o'), fresh(8, 'n');
  CrashFileSystem disk;
  put_durably(disk, "f", old);
  auto file = std::move(*disk.open("f", io::OpenMode::kReadWrite));
  disk.cut_amid(1);
  CHECK_FALSE(file->write_at(0, bytes_of(fresh)));
  CHECK(disk.is_off());
  CHECK(content(*disk.recover(Survivors::kOnlySynced), "f") == old);
  CHECK(content(*disk.recover(Survivors::kEverything), "f") == "nnnnoooo");

  CrashFileSystem syncing;
  put_durably(syncing, "f", old);
  file = std::move(*syncing.open("f", io::OpenMode::kReadWrite));
  REQUIRE(file->write_at(0, bytes_of("1")));
  REQUIRE(file->write_at(1, bytes_of("2")));
  syncing.cut_amid(1);
  CHECK_FALSE(file->sync_data());
  CHECK(content(*syncing.recover(Survivors::kOnlySynced), "f") == "1ooooooo");

  CrashFileSystem folder;
  put(folder, "a", "");
  put(folder, "b", "");
  folder.cut_amid(1);
  CHECK_FALSE(folder.sync_directory("."));
  CHECK(folder.recover(Survivors::kOnlySynced)->stat("a"));
  CHECK_FALSE(folder.recover(Survivors::kOnlySynced)->stat("b"));
}

TEST_CASE("after the cut nothing is locked or open, and what was recovered stands by itself") {
  CrashFileSystem disk;
  put_durably(disk, "f", "x");
  auto file = std::move(*disk.open("f", io::OpenMode::kReadWrite));
  REQUIRE(*file->try_lock());
  auto after = disk.recover(Survivors::kOnlySynced);
  auto again = std::move(*after->open("f", io::OpenMode::kReadWrite));
  CHECK(*again->try_lock());
  CHECK(*again->nobody_else_has_it_open());
  CHECK(again->stat()->same_file(*file->stat()));
  REQUIRE(again->write_at(0, bytes_of("y")));
  CHECK(content(disk, "f") == "x");
  after.reset();
  CHECK(again->stat()->size_bytes == 1);
}

TEST_CASE("preallocated space and modes last only when synced") {
  CrashFileSystem disk;
  put_durably(disk, "f", "x");
  auto file = std::move(*disk.open("f", io::OpenMode::kReadWrite));
  REQUIRE(file->preallocate(100));
  CHECK(disk.recover(Survivors::kOnlySynced)->stat("f")->size_bytes == 1);
  CHECK(disk.recover(Survivors::kEverything)->stat("f")->size_bytes == 100);
  REQUIRE(file->sync_data());
  CHECK(disk.recover(Survivors::kOnlySynced)->stat("f")->size_bytes == 100);
}

}  // namespace
}  // namespace pullama::testing
