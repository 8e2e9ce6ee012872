#include "daemon/config.h"

#include <doctest/doctest.h>

#include <map>

using namespace pullama;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

Result<Configured> configured(const std::vector<ConfigFile>& files,
                              const std::map<std::string, std::string>& variables = {},
                              const std::vector<Setting>& flags = {}) {
  return configure(
      files,
      [&](const std::string& name) -> std::optional<std::string> {
        const auto it = variables.find(name);
        return it == variables.end() ? std::nullopt : std::optional(it->second);
      },
      flags);
}

}  // namespace

TEST_CASE("a flag goes before a variable, that before the user's file, that before the machine's") {
  const std::vector<ConfigFile> files{{"/etc/p.conf", "on_finished = machine\non_finished_limit = 7s\n"},
                                      {"/home/p.conf", "on_finished = user 'two words'"}};
  CHECK(configured({})->config.on_finished.empty());
  CHECK(configured({})->config.on_finished_limit == 5min);
  CHECK(configured({files[0]})->config.on_finished == Words{"machine"});
  CHECK(configured(files)->config.on_finished == Words{"user", "two words"});
  CHECK(configured(files)->config.on_finished_limit == 7s);
  const std::map<std::string, std::string> variable{{"PULLAMA_ON_FINISHED", "variable"}};
  CHECK(configured(files, variable)->config.on_finished == Words{"variable"});
  CHECK(configured(files, variable, {{"on_finished", "flag"}})->config.on_finished == Words{"flag"});
  CHECK(configured(files, {{"PULLAMA_ON_FINISHED", ""}})->config.on_finished.empty());
}

TEST_CASE("comments, blanks and line ends of any system") {
  const auto result =
      configured({{"p", "# on_finished = no\r\n\r\n  \ton_finished\t=  a # b  \r\n  # more\non_finished_limit=90s"}});
  CHECK(result->config.on_finished == Words{"a", "#", "b"});
  CHECK(result->config.on_finished_limit == 90s);
  CHECK(result->warnings.empty());
  CHECK(configured({{"p", "on_finished = a\non_finished =\n"}})->config.on_finished.empty());
  CHECK(configured({{"p", "on_finished_limit = 9s\non_finished_limit =\n"}})->config.on_finished_limit == 5min);
}

TEST_CASE("a line that cannot be used is passed over, with its number") {
  const auto result = configured({{"/p.conf",
                                   "on_finished = good\n"
                                   "on_finnished = typo\n"
                                   "nonsense\n"
                                   "on_finished = 'unended\n"
                                   "on_finished_limit = 2h\n"
                                   "on_finished_limit = soon\n"
                                   "= value\n"
                                   "\x1b[2J = x\n"}});
  CHECK(result->config.on_finished == Words{"good"});
  CHECK(result->config.on_finished_limit == 5min);
  REQUIRE(result->warnings.size() == 7);
  for (std::size_t i = 0; i < result->warnings.size(); ++i) {
    CAPTURE(result->warnings[i]);
    CHECK(result->warnings[i].rfind("/p.conf:" + std::to_string(i + 2) + ": ", 0) == 0);
    CHECK(result->warnings[i].find('\x1b') == std::string::npos);
  }
  CHECK(result->warnings[0].find("there is no key \"on_finnished\"") != std::string::npos);
}

TEST_CASE("a wrong flag or variable is an error that names it") {
  const auto flag = configured({}, {}, {{"on_finished_limit", "0s"}});
  REQUIRE_FALSE(flag.has_value());
  CHECK(flag.error().message.find("--on-finished-limit") != std::string::npos);
  const auto variable = configured({}, {{"PULLAMA_ON_FINISHED", "\"x"}});
  REQUIRE_FALSE(variable.has_value());
  CHECK(variable.error().message.find("$PULLAMA_ON_FINISHED") != std::string::npos);
}

TEST_CASE("cut off at any byte, a file is read with at most one warning") {
  const std::string text = "# comment\non_finished = a 'b c'\non_finished_limit = 10s\n";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const auto result = configured({{"p", text.substr(0, length)}});
    REQUIRE(result.has_value());
    CHECK(result->warnings.size() <= 1);
  }
}
