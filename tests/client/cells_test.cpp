#include "client/cells.h"

#include <doctest/doctest.h>

using namespace pullama::client;

TEST_CASE("cells are counted as a terminal does") {
  CHECK(cell_width("") == 0);
  CHECK(cell_width("abc") == 3);
  CHECK(cell_width("│ ✓ · › ▸ — … ⠋ █░▌") == 19);
  CHECK(cell_width("模型") == 4);
  CHECK(cell_width("e\u0301") == 1);
  CHECK(cell_width("🦙") == 2);
  CHECK(cell_width("\xff\xfe") == 2);
  CHECK(cell_width("\xe6\xa8") == 2);  // cut off in the middle
}

TEST_CASE("text is cut between characters and never wider than asked") {
  CHECK(cut_cells("模型", 3) == "模");
  CHECK(cut_cells("abc", 2) == "ab");
  CHECK(cut_cells("abc", 0) == "");
  CHECK(cut_cells_in_front("host/model", 5) == "model");
  CHECK(cut_cells_in_front("模型", 3) == "型");
  CHECK(cut_cells_in_front("ab", 5) == "ab");
  for (std::size_t cells = 0; cells < 20; ++cells)
    CHECK(cell_width(cut_cells("a模b型·✓ e\u0301x🦙y", cells)) <= cells);
}

TEST_CASE("text is wrapped at blanks, longer words are broken") {
  CHECK(wrap_cells("one two three", 7) == std::vector<std::string>{"one two", "three"});
  CHECK(wrap_cells("abcdefgh", 3) == std::vector<std::string>{"abc", "def", "gh"});
  CHECK(wrap_cells("", 3) == std::vector<std::string>{""});
  CHECK(wrap_cells("  a   b ", 10) == std::vector<std::string>{"a b"});
  for (std::size_t cells = 2; cells < 30; ++cells) {
    for (const std::string& line : wrap_cells("the 模型 of a registry.example.com/v2/library says so", cells)) {
      CHECK(cell_width(line) <= cells);
    }
  }
}
