#include "client/completion.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

#include "client/grammar.h"

using namespace pullama::client;

namespace {

Completion at(const std::vector<std::string>& words) { return complete(words); }

std::vector<std::string> words_of(const Completion& completion) {
  std::vector<std::string> words;
  for (const Candidate& candidate : completion.candidates) words.push_back(candidate.word);
  return words;
}

bool has(const Completion& completion, const std::string& word) {
  const auto words = words_of(completion);
  return std::count(words.begin(), words.end(), word) == 1;
}

}  // namespace

TEST_CASE("an empty line offers the first word of every command, once, and no model") {
  const Completion completion = at({""});
  for (const CommandRule& rule : all_commands()) {
    CHECK(has(completion, std::string(rule.name.substr(0, rule.name.find(' ')))));
  }
  CHECK_FALSE(completion.installed);
  CHECK(words_of(complete({})) == words_of(completion));
}

TEST_CASE("what is typed narrows the commands, and may be a model's name") {
  CHECK(words_of(at({"pu"})) == std::vector<std::string>{"pull", "push"});
  CHECK(at({"pu"}).installed);
  CHECK(at({"pu"}).typed == "pu");
}

TEST_CASE("a family offers its members, also after flags with values") {
  CHECK(words_of(at({"queue", "st"})) == std::vector<std::string>{"start", "stop"});
  CHECK(words_of(at({"--socket", "/run/s", "daemon", "sta"})) == std::vector<std::string>{"status", "start"});
  CHECK(words_of(at({"help", "queue", "re"})) == std::vector<std::string>{"retry"});
  CHECK(words_of(at({"queue", "frob", ""})).empty());
}

TEST_CASE("operands are of the command's kind and no more than it takes") {
  CHECK(at({"show", ""}).installed);
  CHECK_FALSE(at({"show", "m", ""}).installed);
  CHECK(at({"rm", "a", "b", ""}).installed);
  CHECK_FALSE(at({"show", ""}).unfinished);
  CHECK(at({"cancel", ""}).unfinished);
  CHECK_FALSE(at({"cancel", ""}).installed);
  CHECK(at({"pull", "a", "b"}).unfinished);
  CHECK(at({"queue", "move", "1", ""}).positions);
  CHECK_FALSE(at({"queue", "move", "1", "2", ""}).positions);
  CHECK(words_of(at({"completion", "z"})) == std::vector<std::string>{"zsh"});
  CHECK(words_of(at({"limit", ""})) == std::vector<std::string>{"off"});
  CHECK(words_of(at({"list", ""})).empty());
}

TEST_CASE("flags are those of the command") {
  for (const CommandRule& rule : all_commands()) {
    std::vector<std::string> words;
    std::istringstream parts{std::string(rule.name)};
    for (std::string word; parts >> word;) words.push_back(word);
    words.push_back("--");
    const Completion completion = at(words);
    for (const FlagRule& flag : all_flags()) {
      CHECK(has(completion, "--" + std::string(flag.name)) == takes(flag, rule.command));
    }
  }
  CHECK(has(at({"--ins"}), "--insecure"));  // pullama --insecure MODEL
  CHECK(has(at({"some-model", "--ins"}), "--insecure"));
  CHECK(words_of(at({"show", "--", "--"})).empty());  // after "--" there are only models
}

TEST_CASE("values of flags, behind a blank or an equals sign") {
  CHECK(words_of(at({"list", "--output", "j"})) == std::vector<std::string>{"json"});
  CHECK(words_of(at({"list", "--output=j"})) == std::vector<std::string>{"--output=json"});
  CHECK(at({"list", "--models-dir", ""}).folders);
  CHECK(at({"list", "--models-dir=/t"}).folders);
  CHECK(at({"pull", "--ca-file", ""}).files);
  CHECK(words_of(at({"pull", "--connections", ""})).empty());
  CHECK(words_of(at({"pull", "--quiet=", ""})).empty());
  CHECK(words_of(at({"list", "--frob=x"})).empty());
}

TEST_CASE("words that a shell would act on are not offered") {
  CHECK(is_plain_word("hf.co/user/Model-GGUF:Q4_K_M"));
  for (const char* word : {"", "-x", ":files", "a b", "a\tb", "a\nb", "$(id)", "a;b", "a`b", "a'b", "a\"b", "a*"}) {
    CAPTURE(word);
    CHECK_FALSE(is_plain_word(word));
  }
}

TEST_CASE("each shell has its script") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    CHECK(completion_script(shell).find("pullama __complete") != std::string_view::npos);
    CHECK(completion_script(shell).find(shell) != std::string_view::npos);
  }
}
