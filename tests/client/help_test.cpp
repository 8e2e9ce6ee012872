#include "client/help.h"

#include <doctest/doctest.h>

#include <sstream>
#include <vector>

#include "client/cells.h"
#include "client/grammar.h"

using namespace pullama::client;

namespace {

void check_width(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    CAPTURE(line);
    CHECK(cell_width(line) <= 80);
  }
}

}  // namespace

TEST_CASE("every help text fits 80 columns and names each of its flags") {
  check_width(*help_text({}));
  for (const CommandRule& rule : all_commands()) {
    std::vector<std::string> words;
    std::istringstream parts{std::string(rule.name)};
    for (std::string word; parts >> word;) words.push_back(word);
    const auto text = help_text(words);
    REQUIRE(text);
    check_width(*text);
    CHECK(text->find(rule.summary) != std::string::npos);
    for (const FlagRule& flag : all_flags()) {
      if (flag.flag == Flag::kVersion) continue;
      CHECK((text->find("--" + std::string(flag.name) + " ") != std::string::npos) == takes(flag, rule.command));
    }
  }
}

TEST_CASE("a family lists its members, an unknown word is named") {
  const std::vector<std::string> queue{"queue"}, wrong{"frob"};
  CHECK(help_text(queue)->find("queue retry") != std::string::npos);
  CHECK(help_text(wrong).error().message.find("frob") != std::string::npos);
}
