#include "daemon/config_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

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
