#include "daemon/command_words.h"

#include <doctest/doctest.h>

using namespace pullama;
using Words = std::vector<std::string>;

TEST_CASE("a command is split as its rules say") {
  struct Row {
    const char* text;
    Words words;
  };
  const Row rows[] = {
      {"", {}},
      {"  \t ", {}},
      {"notify-send done", {"notify-send", "done"}},
      {"  a   b\t c ", {"a", "b", "c"}},
      {"'a b' \"c d\"", {"a b", "c d"}},
      {"''", {""}},
      {"a'b'\"c\"d", {"abcd"}},
      {R"('a\b' "a\"b\\" a\ b \')", {R"(a\b)", R"(a"b\)", "a b", "'"}},
      {R"("it's" '"')", {"it's", "\""}},
      {"a $HOME ~ * | > ; & # `x` $(y)", {"a", "$HOME", "~", "*", "|", ">", ";", "&", "#", "`x`", "$(y)"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto words = split_command(row.text);
    REQUIRE(words.has_value());
    CHECK(*words == row.words);
  }
}

TEST_CASE("what cannot be meant is refused") {
  for (const std::string& text :
       {std::string("a 'b"), std::string("a \"b"), std::string("a\\"), std::string("a\0b", 3)}) {
    CAPTURE(text);
    CHECK_FALSE(split_command(text).has_value());
  }
  std::string many;
  for (int i = 0; i < 300; ++i) many += "w ";
  CHECK_FALSE(split_command(many).has_value());
}

TEST_CASE("cut off at any byte, a command is split or refused") {
  const std::string text = R"(run 'a b' "c\"d" e\ f)";
  for (std::size_t length = 0; length <= text.size(); ++length) {
    const auto words = split_command(std::string_view(text).substr(0, length));
    if (words) CHECK(words->size() <= 4);
  }
}
