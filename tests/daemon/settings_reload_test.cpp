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
  ChosenLimits set = choose_limits(before.config, {});
  CHECK(set.in_effect() == queue::Limits{5'000'000, 3, 1});
  CHECK(set.set == queue::Limits{});
  proto::LimitsSetParams params;
  params.rate = 800'000;
  set.take(params);
  CHECK(set.in_effect() == queue::Limits{800'000, 3, 1});
  CHECK(set.set == queue::Limits{800'000, 0, 1});
  const auto after = [&](const char* file) { return reload_settings(before, configured(file), set).limits; };
  CHECK(after("limit_rate = 5M\n").in_effect().rate == 800'000);
  CHECK(after("limit_rate = 7M\n").in_effect().rate == 7'000'000);
  CHECK(after("limit_rate = off\n").in_effect().rate == 0);
  CHECK(after("").in_effect().rate == 800'000);
  CHECK(after("parallel_models = 2\n").in_effect().parallel_models == 2);
}

TEST_CASE("a limit of the configuration ends with it, and what it went before is forgotten") {
  const auto before = configured("limit_rate = 3M\nconnections = 2\nparallel_models = 4\n");
  const ChosenLimits limits = choose_limits(before.config, {800'000, 9, 7});
  CHECK(limits.in_effect() == queue::Limits{3'000'000, 2, 4});
  CHECK(limits.set == queue::Limits{});
  CHECK(reload_settings(before, configured("limit_rate =\n"), limits).limits.in_effect() == queue::Limits{});
  CHECK(reload_settings(before, configured("limit_rate = 4M\n"), limits).limits.set == queue::Limits{});
  CHECK(choose_limits({}, {800'000, 9, 7}).in_effect() == queue::Limits{800'000, 9, 7});
}

TEST_CASE("an unknown group is a line that is passed over, and an error of a flag") {
  const auto nobody = [](const std::string& name) -> Status { return fail(ErrorCode::kInvalidArgument, "no " + name); };
  auto of_file = configured("\nsocket_group = wheels\n");
  auto of_flag = of_file;
  pass_over_unknown_group(of_file, [](const std::string&) { return Status(); });
  CHECK(of_file.config.socket_group == "wheels");
  pass_over_unknown_group(of_file, nobody);
  CHECK(of_file.config.socket_group.empty());
  CHECK(of_file.warnings == std::vector<std::string>{"/c:2: socket_group: no wheels; the line is passed over"});
  of_flag.from["socket_group"] = "--socket-group";
  pass_over_unknown_group(of_flag, nobody);
  CHECK(of_flag.config.socket_group == "wheels");
  CHECK(of_flag.warnings.empty());
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

TEST_CASE("what takes a value away is named, and every line of a list") {
  const ConfigFile files[] = {{"/e", "limit_rate = 5M\nuser_agent = me\n"},
                              {"/u",
                               "limit_rate =\nmirror = a.example https://m1\nuser_agent =\n"
                               "mirror = a.example https://m2\nidle_time =\n"}};
  const auto nothing_set = [](const std::string&) -> std::optional<std::string> { return std::nullopt; };
  const auto result = configure(files, nothing_set, {}, {"/here", "/h", [](const std::string&) { return false; }});
  REQUIRE(result);
  const auto shown = settings_in_effect(*result, {"/run/s", false, {}});
  CHECK(from_of(shown, "limit_rate") == "off from /u:1");
  CHECK(from_of(shown, "user_agent").ends_with(" from /u:3"));
  CHECK(from_of(shown, "mirror").ends_with(" from /u:2, 4"));
  CHECK(from_of(shown, "idle_time") == "10m0s from default");
}
