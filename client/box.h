#pragma once
// The boxes of the original, with all lines of one width. Widths are whole lines, borders included.

#include <cstddef>
#include <string>
#include <vector>

#include "client/line.h"

namespace pullama::client {

enum class Border { kRound, kDouble, kHeavy };

constexpr std::size_t kWidestBox = 88;

// The width of a box on a terminal of that many columns.
std::size_t box_width(std::size_t columns);

Line box_top(Border border, const Line& title, std::size_t width);  // an empty title: a plain rule
Line box_row(Border border, const Line& content, std::size_t width);
Line box_rule(Border border, std::size_t width);
Line box_bottom(Border border, std::size_t width);

// Cells between the borders and their blanks.
std::size_t box_inner(std::size_t width);

}  // namespace pullama::client
