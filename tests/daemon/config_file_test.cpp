#include "daemon/config_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/io/temp_dir.h"

using namespace pullama;

TEST_CASE("files are read in their order, and what is not there is left out") {
  const pullama::testing::TempDir dir;
  dir.write("a", "on_finished = a\n");
  dir.write("b", "on_finished = b\n");
  const auto result = read_config_files({dir / "a", dir / "none", dir / "b", dir / "a/below"});
  CHECK(result.warnings.empty());
  REQUIRE(result.files.size() == 2);
  CHECK(result.files[0].text == "on_finished = a\n");
  CHECK(result.files[1].path == dir / "b");
}

TEST_CASE("a file that others may write to, or that is none, is not used") {
  const pullama::testing::TempDir dir;
  dir.write("open", "on_finished = x\n");
  REQUIRE(::chmod((dir / "open").c_str(), 0666) == 0);
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  dir.write("long", std::string(70'000, '#'));
  const auto result = read_config_files({dir / "open", dir / "pipe", dir / "long", dir.path().string()});
  CHECK(result.files.empty());
  REQUIRE(result.warnings.size() == 4);
  CHECK(result.warnings[0] == (dir / "open") + " can be written by others; it is not used");
}

TEST_CASE("read again, a file that cannot be used says what it said before, and one that is gone nothing") {
  const pullama::testing::TempDir dir;
  for (const char* name : {"kept", "gone", "good"}) dir.write(name, std::string("user_agent = ") + name + "\n");
  const std::vector<std::string> paths{dir / "kept", dir / "gone", dir / "good"};
  const auto before = read_config_files(paths);
  REQUIRE(before.files.size() == 3);
  dir.write("kept", "user_agent = evil\n");
  REQUIRE(::chmod((dir / "kept").c_str(), 0666) == 0);
  REQUIRE(::unlink((dir / "gone").c_str()) == 0);
  dir.write("good", "user_agent = new\n");
  const auto after = read_config_files(paths, before.files);
  REQUIRE(after.files.size() == 2);
  CHECK(after.files[0].text == "user_agent = kept\n");
  CHECK(after.files[1].text == "user_agent = new\n");
  CHECK(after.warnings ==
        std::vector<std::string>{(dir / "kept") + " can be written by others; what it said before stays"});
}

TEST_CASE("a file of another user is refused for what it is") {
  if (::geteuid() != 0) return;  // nobody else can give files away
  const pullama::testing::TempDir dir;
  dir.write("theirs", "user_agent = x\n");
  REQUIRE(::chown((dir / "theirs").c_str(), 65534, 65534) == 0);
  CHECK(read_config_files({dir / "theirs"}).warnings ==
        std::vector<std::string>{(dir / "theirs") + " belongs to another user (uid 65534); it is not used"});
}

TEST_CASE("the user's file lies in $XDG_CONFIG_HOME, else below the home folder") {
  const auto paths = [](const std::string& config, const std::string& home) {
    return config_paths(
        [&](const std::string& name) -> std::optional<std::string> {
          const std::string value = name == "XDG_CONFIG_HOME" ? config : name == "HOME" ? home : "";
          return value.empty() ? std::nullopt : std::optional(value);
        },
        "/passwd");
  };
  const std::string machine = "/etc/pullama/pullamad.conf";
  CHECK(paths("/c", "/h") == std::vector<std::string>{machine, "/c/pullama/pullamad.conf"});
  CHECK(paths("", "/h") == std::vector<std::string>{machine, "/h/.config/pullama/pullamad.conf"});
  CHECK(paths("", "") == std::vector<std::string>{machine, "/passwd/.config/pullama/pullamad.conf"});
}
