#include "daemon/settings_reload.h"

#include <doctest/doctest.h>

#include "daemon/settings_in_effect.h"

using namespace pullama;

namespace {

Configured configured(const std::string& file) {
  const ConfigFile files[] = {{"/c", file}};
  const auto nothing_set = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  const auto nothing_there = [](const std::string&) { return false; };
  auto result = configure(files, nothing_set, {}, {"/here", "/home/mia", nothing_there});
  REQUIRE(result);
  return *result;
}

std::string from_of(const std::vector<proto::DaemonSetting>& settings, const std::string& key) {
  for (const auto& setting : settings) {
    if (setting.key == key) return setting.value + " from " + setting.from;
  }
  return "none";
}

}  // namespace

TEST_CASE("a limit that was set stays until the configuration changes its mind") {
  const auto before = configured("limit_rate = 5M\nconnections = 3\n");
  const queue::Limits set{800'000, 3, 1};
  CHECK(reload_settings(before, configured("limit_rate = 5M\n"), set).limits.rate == 800'000);
  CHECK(reload_settings(before, configured("limit_rate = 7M\n"), set).limits.rate == 7'000'000);
  CHECK(reload_settings(before, configured("limit_rate = off\n"), set).limits.rate == 0);
  CHECK(reload_settings(before, configured(""), set).limits.rate == 800'000);
  CHECK(reload_settings(before, configured("parallel_models = 2\n"), set).limits.parallel_models == 2);
}

TEST_CASE("what needs a new start stays as it was, and a warning says so") {
  const auto before = configured("socket = /s\n");
  const auto after = reload_settings(before, configured("\nsocket = /other\nuser_agent = me\n"), {}).configured;
  CHECK(after.config.socket == "/s");
  CHECK(after.from.at("socket") == "/c:1");
  CHECK(after.config.user_agent == "me");
  REQUIRE(after.warnings.size() == 1);
  CHECK(after.warnings[0] == "socket takes effect when the daemon is started again");
  CHECK(reload_settings(after, configured("socket = /s\n"), {}).configured.warnings.empty());
}

TEST_CASE("what is in effect says where it came from") {
  const auto of_file = configured("limit_rate = 5M\nhttps_proxy = http://mia:hush@p:3128\n");
  const auto shown = settings_in_effect(of_file, {"/run/s", false, {5'000'000, 0, 1}});
  CHECK(from_of(shown, "limit_rate") == "5.0 MB/s from /c:1");
  CHECK(from_of(shown, "https_proxy") == "http://p:3128 from /c:2");
  CHECK(from_of(shown, "socket") == "/run/s from default");
  CHECK(from_of(shown, "connections") == "auto from default");
  CHECK(from_of(settings_in_effect(of_file, {"/run/s", true, {800'000, 4, 1}}), "limit_rate") ==
        "800.0 kB/s from limits.set");
  CHECK(from_of(settings_in_effect(of_file, {"/run/s", true, {800'000, 4, 1}}), "connections") == "4 from limits.set");
  CHECK(from_of(settings_in_effect(of_file, {"/run/s", true, {}}), "socket") == "/run/s from the service manager");
}
