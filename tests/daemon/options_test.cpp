#include "daemon/options.h"

#include <doctest/doctest.h>

#include <sstream>

#include "daemon/config_keys.h"

using namespace pullama;

namespace {

std::vector<std::pair<std::string, std::string>> settings_of(const std::vector<std::string>& arguments) {
  const auto options = parse_options(arguments);
  REQUIRE(options.has_value());
  std::vector<std::pair<std::string, std::string>> settings;
  for (const Setting& setting : options->settings) settings.emplace_back(setting.key, setting.value);
  return settings;
}

}  // namespace

TEST_CASE("flags are read in both forms; each setting has one") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(settings_of({"--socket=/s", "--log-level", "debug"}) == Pairs{{"socket", "/s"}, {"log_level", "debug"}});
  for (const ConfigKey& key : config_keys()) {
    CHECK(settings_of({flag_of(key), "x"}) == Pairs{{std::string(key.name), "x"}});
  }
  CHECK(parse_options({"--on-demand"})->on_demand);
  CHECK_FALSE(parse_options({})->on_demand);
}

TEST_CASE("only a list may be given twice, and a flag takes one value") {
  CHECK(settings_of({"--mirror", "a", "--mirror=b"}).size() == 2);
  CHECK_FALSE(parse_options({"--socket", "/a", "--socket", "/b"}));
  CHECK_FALSE(parse_options({"--mirror", "a", "b"}));
}

TEST_CASE("a wrong word is one line that names it, exit 1") {
  const std::vector<std::string> wrong[] = {{"--sockets", "/s"},  {"extra"},     {"--socket"}, {"--socket", ""},
                                            {"--models-dir", ""}, {"--sock\net"}};
  for (const auto& arguments : wrong) {
    CAPTURE(arguments[0]);
    const auto options = parse_options(arguments);
    REQUIRE_FALSE(options.has_value());
    CHECK(options.error().code == 1);
    const std::string& text = options.error().text;
    CHECK(text.starts_with("pullamad: "));
    CHECK(text.find('\n') == text.size() - 1);
    CHECK(text.find(arguments[0].substr(0, 6)) != std::string::npos);
  }
}

TEST_CASE("help and version leave with 0; help names every setting and fits 80 columns") {
  const auto help = parse_options({"--help"}).error();
  CHECK(help.code == 0);
  CHECK(help.text.find("--on-demand") != std::string::npos);
  for (const ConfigKey& key : config_keys()) CHECK(help.text.find("  " + flag_of(key) + " ") != std::string::npos);
  std::istringstream lines(help.text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(line.size() <= 80);
  }
  CHECK(parse_options({"--version"}).error().text.starts_with("pullamad "));
}
