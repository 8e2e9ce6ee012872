#include "client/box.h"

#include <doctest/doctest.h>

using namespace pullama::client;

TEST_CASE("all lines of a box are of one width, whatever the terminal's") {
  const Line title{{"pulling localhost:5000/some-namespace/a-rather-long-model-name:with-a-tag", Tone::kText}};
  for (std::size_t columns = 1; columns <= 300; ++columns) {
    const std::size_t width = box_width(columns);
    REQUIRE(width <= columns);
    for (const Border border : {Border::kRound, Border::kDouble, Border::kHeavy}) {
      CAPTURE(columns);
      REQUIRE(width_of(box_top(border, title, width)) == width);
      REQUIRE(width_of(box_top(border, {}, width)) == width);
      REQUIRE(width_of(box_rule(border, width)) == width);
      REQUIRE(width_of(box_bottom(border, width)) == width);
      if (width >= 5) REQUIRE(width_of(box_row(border, title, width)) == width);
      REQUIRE(width_of(box_row(border, title, width)) <= width);
    }
  }
}

TEST_CASE("boxes look like the original's") {
  CHECK(text_of(box_top(Border::kRound, {{"pulling m:latest", Tone::kText}}, 30)) == "╭─ pulling m:latest ─────────╮");
  CHECK(text_of(box_bottom(Border::kRound, 12)) == "╰──────────╯");
  CHECK(text_of(box_top(Border::kDouble, {}, 12)) == "╔══════════╗");
  CHECK(text_of(box_rule(Border::kDouble, 12)) == "╠══════════╣");
  CHECK(text_of(box_row(Border::kDouble, {{"blobs 5", Tone::kText}}, 14)) == "║ blobs 5    ║");
  CHECK(text_of(box_row(Border::kHeavy, {{"too long a text", Tone::kText}}, 14)) == "┃ too long … ┃");
}
