// Symlinks planted in the models dir: security.md row 14.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "tests/support/io/privileges.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::io {
namespace {

struct Fixture {
  testing::TempDir dir;
  std::string models = dir / "models";

  Fixture() {
    std::filesystem::create_directories(models);
    std::filesystem::create_directories(dir / "outside");
    dir.write("outside/victim", "precious");
  }

  void plant(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, dir / name);
  }
  std::unique_ptr<PosixFileSystem> open() const {
    auto fs = PosixFileSystem::open(models, false);
    REQUIRE_MESSAGE(fs, fs.error().message);
    return std::move(*fs);
  }
};

void check_refused(const Error& error, const std::string& path) {
  CHECK(error.code == ErrorCode::kPermission);
  CHECK(error.os_error == ELOOP);
  CHECK(error.message.find(path) != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a symlink in a file's place is never followed") {
  std::filesystem::create_directory(models + "/blobs");
  plant("../../outside/victim", "models/blobs/x.partial");
  plant("../../outside/new", "models/blobs/y.partial");
  auto fs = open();
  for (const OpenMode how : {OpenMode::kRead, OpenMode::kReadWrite, OpenMode::kReadWriteCreate}) {
    check_refused(fs->open("blobs/x.partial", how).error(), models + "/blobs/x.partial");
  }
  CHECK(fs->open("blobs/x.partial", OpenMode::kCreateNew).error().os_error == EEXIST);
  CHECK_FALSE(fs->open("blobs/y.partial", OpenMode::kReadWriteCreate));
  CHECK_FALSE(dir.exists("outside/new"));
  check_refused(fs->read_file("blobs/x.partial", 100).error(), models + "/blobs/x.partial");
  CHECK(fs->stat("blobs/x.partial")->kind == FileStat::Kind::kSymlink);
  REQUIRE(fs->touch("blobs/x.partial"));
  REQUIRE(fs->remove("blobs/x.partial"));
  CHECK(dir.read("outside/victim") == "precious");
}

TEST_CASE_FIXTURE(Fixture, "a symlink in a folder's place is never followed") {
  std::filesystem::create_directory(models + "/manifests");
  plant("../outside", "models/.pullm");
  plant("../../outside", "models/manifests/host");
  // Also one that stays in the models dir: what is under one name must not be somebody else's under another.
  std::filesystem::create_directory(models + "/manifests/other");
  plant("other", "models/manifests/inside");
  auto fs = open();
  for (const std::string folder : {".pullm", "manifests/host", "manifests/inside"}) {
    CAPTURE(folder);
    const std::string native = models + "/" + folder;
    check_refused(fs->open(folder + "/victim", OpenMode::kRead).error(), native);
    check_refused(fs->open(folder + "/new", OpenMode::kCreateNew).error(), native);
    check_refused(fs->stat(folder + "/victim").error(), native);
    check_refused(fs->list(folder).error(), native);
    check_refused(fs->make_directories(folder + "/new").error(), native);
    check_refused(fs->remove(folder + "/victim").error(), native);
    check_refused(fs->sync_directory(folder).error(), native);
    CHECK_FALSE(fs->make_directories(folder));
  }
  CHECK(dir.read("outside/victim") == "precious");
  CHECK_FALSE(dir.exists("outside/new"));
  CHECK(std::filesystem::is_empty(models + "/manifests/other"));
}

TEST_CASE_FIXTURE(Fixture, "blobs and manifests of our own on another disk are followed, through several links too") {
  plant("../link-2", "models/blobs");
  plant(dir / "outside/", "link-2");
  plant("../outside", "models/manifests");
  auto fs = open();
  CHECK(*fs->read_file("blobs/victim", 100) == "precious");
  CHECK(fs->stat("blobs")->kind == FileStat::Kind::kDirectory);
  CHECK(fs->stat("blobs")->same_file(*fs->stat("manifests")));
  REQUIRE(fs->make_directories("manifests/host"));
  CHECK(dir.exists("outside/host"));
  CHECK(fs->make_directories("blobs"));
  CHECK(fs->sync_directory("blobs"));
  CHECK(fs->rename("blobs/victim", "manifests/host/moved"));
  // Only at that place.
  plant("../outside", "models/outside-blobs");
  CHECK_FALSE(fs->list("outside-blobs"));
}

TEST_CASE_FIXTURE(Fixture, "a disk that is not mounted is said, and no folder is made in its stead") {
  plant("/nonexistent/disk", "models/blobs");
  auto fs = open();
  const auto made = fs->make_directories("blobs");
  REQUIRE_FALSE(made);
  CHECK(made.error().code == ErrorCode::kInternal);
  CHECK(fs->list("blobs").error().code == ErrorCode::kInternal);
  CHECK(made.error().message.find(models + "/blobs") != std::string::npos);
  CHECK(made.error().hint.find("/nonexistent/disk") != std::string::npos);
  plant("loop-b", "loop-a");
  plant("loop-a", "loop-b");
  CHECK(PosixFileSystem::open(dir / "loop-a", true).error().os_error == ELOOP);
}

TEST_CASE_FIXTURE(Fixture, "a models dir that is our own symlink is followed") {
  plant("models", "by-link");
  for (const std::string name : {"by-link", "by-link/", "by-link/.", "by-link//"}) {
    CAPTURE(name);
    const auto fs = PosixFileSystem::open(dir / name, false);
    REQUIRE(fs);
    CHECK((*fs)->make_directories("blobs"));
  }
  CHECK(dir.exists("models/blobs"));
}

TEST_CASE_FIXTURE(Fixture, "somebody else's symlink as models dir, blobs or manifests is refused") {
  if (!testing::have_root()) return;
  plant("../outside", "models/blobs");
  plant("../outside", "models/manifests");
  plant("models", "by-link");
  for (const std::string name : {"models/blobs", "models/manifests", "by-link"}) {
    REQUIRE(::lchown((dir / name).c_str(), testing::kStranger, testing::kStranger) == 0);
  }
  for (const std::string name : {"by-link", "by-link/", "by-link/."}) {
    check_refused(PosixFileSystem::open(dir / name, true).error(), dir / "by-link");
  }
  {
    auto fs = open();
    check_refused(fs->read_file("blobs/victim", 100).error(), models + "/blobs");
    check_refused(fs->open("blobs/new", OpenMode::kCreateNew).error(), models + "/blobs");
    check_refused(fs->make_directories("manifests/host").error(), models + "/manifests");
    check_refused(fs->stat("blobs").error(), models + "/blobs");
  }
  // It is the owner of the store who may put them there.
  REQUIRE(::chown(models.c_str(), testing::kStranger, testing::kStranger) == 0);
  CHECK(open()->read_file("blobs/victim", 100).has_value());
  CHECK(PosixFileSystem::open(dir / "by-link", false).has_value());
  // A chain is as good as its worst link.
  REQUIRE(::chown(models.c_str(), 0, 0) == 0);
  std::filesystem::remove(models + "/blobs");
  plant("../foreign", "models/blobs");
  plant("outside", "foreign");
  REQUIRE(::lchown((dir / "foreign").c_str(), testing::kStranger, testing::kStranger) == 0);
  check_refused(open()->list("blobs").error(), models + "/blobs");
}

TEST_CASE_FIXTURE(Fixture,
                  "names on two file systems cannot be linked or renamed, and callers are told to go on without") {
  struct ::stat here {
  }, there{};
  if (::stat(models.c_str(), &here) != 0 || ::stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev ||
      ::access("/dev/shm", W_OK) != 0) {
    MESSAGE("left out: /dev/shm is no other file system here");
    return;
  }
  const std::filesystem::path other = "/dev/shm/pullama-test-" + std::to_string(::getpid());
  std::filesystem::create_directory(other);
  plant(other.string(), "models/blobs");
  auto fs = open();
  REQUIRE(fs->make_directories(".pullm/keep"));
  REQUIRE(fs->open("blobs/f", OpenMode::kCreateNew));
  CHECK(fs->link("blobs/f", ".pullm/keep/f").error().code == ErrorCode::kUnsupported);
  CHECK(fs->rename("blobs/f", ".pullm/f").error().code == ErrorCode::kUnsupported);
  CHECK(fs->reflink("blobs/f", ".pullm/f").error().code == ErrorCode::kUnsupported);
  CHECK(fs->stat("blobs")->device != fs->stat(".pullm")->device);
  CHECK_FALSE(dir.exists("models/.pullm/f"));
  std::filesystem::remove_all(other);
}

}  // namespace
}  // namespace pullama::io
