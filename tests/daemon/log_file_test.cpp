#include "daemon/log_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/io/descriptor_posix.h"
#include "tests/support/io/temp_dir.h"

using namespace pullama;
using pullama::testing::TempDir;

namespace {

io::Descriptor open_log(const std::string& path) {
  return io::Descriptor(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
}

}  // namespace

TEST_CASE("a log is set aside at its limit, and two times the limit is all that lies there") {
  const TempDir dir;
  const auto fd = open_log(dir / "log");
  LogFile log(fd.get(), dir / "log", 1000);
  for (int i = 0; i < 100; ++i) {
    log.write(std::string(99, static_cast<char>('a' + i % 26)) + "\n");
    CHECK(std::filesystem::file_size(dir / "log") <= 1000);
  }
  CHECK(std::filesystem::file_size(dir / "log.1") == 1000);
  CHECK(dir.read("log").substr(900, 2) == "vv");  // the newest is the last
  struct stat info {};
  REQUIRE(::stat((dir / "log").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600U);
  // What others write to the descriptor lies in the new file too.
  REQUIRE(::write(fd.get(), "x", 1) == 1);
  CHECK(dir.read("log").back() == 'x');
}

TEST_CASE("two daemons with one log rotate it once and go on in the same file") {
  const TempDir dir;
  const auto one = open_log(dir / "log"), two = open_log(dir / "log");
  LogFile first(one.get(), dir / "log", 1000), second(two.get(), dir / "log", 1000);
  first.write(std::string(900, '1'));
  first.write(std::string(200, '1'));  // rotates
  second.write(std::string(200, '2'));
  CHECK(dir.read("log") == std::string(200, '1') + std::string(200, '2'));
  CHECK(dir.read("log.1") == std::string(900, '1'));
}

TEST_CASE("what a user redirected is left alone, and a symlink is not followed") {
  const TempDir dir;
  const auto mine = open_log(dir / "mine");
  LogFile(mine.get(), dir / "log", 10).write(std::string(100, 'x'));
  CHECK(dir.read("mine").size() == 100);
  const auto fd = open_log(dir / "log");
  LogFile log(fd.get(), dir / "log", 10);
  log.write("123456789");
  std::filesystem::remove(dir / "log");
  dir.write("victim", "v");
  std::filesystem::create_symlink(dir / "victim", dir / "log");
  log.write("more");
  CHECK(dir.read("victim") == "v");
}
