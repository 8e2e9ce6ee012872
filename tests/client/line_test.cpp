#include "client/line.h"

#include <doctest/doctest.h>

using namespace pullama::client;

TEST_CASE("plain output has the substitutes of the document") {
  struct Row {
    const char *sign, *ascii;
  };
  for (const Row& row : {Row{"·", "."}, Row{"›", ">"}, Row{"▸", ">"}, Row{"✓", "+"}, Row{"✗", "x"}, Row{"—", "-"},
                         Row{"◆", "*"}, Row{"↻", "~"}, Row{"⚠", "!"}, Row{"…", "..."}, Row{"é", "?"}}) {
    CHECK(to_ascii(row.sign) == row.ascii);
  }
  CHECK(to_ascii("interrupted — resume with: pullama m") == "interrupted - resume with: pullama m");
}

TEST_CASE("a line is cut with an ellipsis, or filled, to an exact width") {
  const Line line{{"abc", Tone::kText}, {"def", Tone::kInfo}};
  CHECK(text_of(fit(line, 6)) == "abcdef");
  CHECK(text_of(fit(line, 5)) == "abcd…");
  CHECK(text_of(fit(line, 1)) == "…");
  CHECK(text_of(fit(line, 0)) == "");
  CHECK(text_of(fill(line, 8)) == "abcdef  ");
  CHECK(width_of(fill({{"模型模型", Tone::kText}}, 4)) == 4);
}

TEST_CASE("colours are 24-bit, reset after each span, and never change the text") {
  CHECK(paint({{"ok", Tone::kSuccess}, {" x", Tone::kText}}) == "\x1b[38;2;34;197;94mok\x1b[0m x");
}
