#include "client/box.h"

#include <algorithm>

namespace pullama::client {
namespace {

struct Glyphs {
  const char *top_left, *top_right, *bottom_left, *bottom_right, *side, *bar, *left_join, *right_join;
  Tone tone;
};

const Glyphs& glyphs_of(Border border) {
  static constexpr Glyphs kRound{"╭", "╮", "╰", "╯", "│", "─", "├", "┤", Tone::kBrand};
  static constexpr Glyphs kDouble{"╔", "╗", "╚", "╝", "║", "═", "╠", "╣", Tone::kSuccess};
  static constexpr Glyphs kHeavy{"┏", "┓", "┗", "┛", "┃", "━", "┣", "┫", Tone::kError};
  return border == Border::kRound ? kRound : border == Border::kDouble ? kDouble : kHeavy;
}

std::string repeat(const char* glyph, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += glyph;
  return out;
}

Line rule(const char* left, const Glyphs& glyphs, const char* right, std::size_t width) {
  return fit({{left + repeat(glyphs.bar, width < 2 ? 0 : width - 2) + right, glyphs.tone}}, width);
}

}  // namespace

std::size_t box_width(std::size_t columns) { return std::min(columns, kWidestBox); }

std::size_t box_inner(std::size_t width) { return width < 5 ? 0 : width - 4; }

Line box_top(Border border, const Line& title, std::size_t width) {
  const Glyphs& glyphs = glyphs_of(border);
  if (width < 8 || title.empty()) return rule(glyphs.top_left, glyphs, glyphs.top_right, width);
  const Line shown = fit(title, width - 6);
  Line line{{std::string(glyphs.top_left) + glyphs.bar + " ", glyphs.tone}};
  line.insert(line.end(), shown.begin(), shown.end());
  line.push_back({" " + repeat(glyphs.bar, width - 5 - width_of(shown)) + glyphs.top_right, glyphs.tone});
  return line;
}

Line box_row(Border border, const Line& content, std::size_t width) {
  const Glyphs& glyphs = glyphs_of(border);
  if (width < 5) return fit(content, width);
  Line line{{glyphs.side, glyphs.tone}, {" ", Tone::kText}};
  const Line shown = fill(content, box_inner(width));
  line.insert(line.end(), shown.begin(), shown.end());
  line.push_back({" ", Tone::kText});
  line.push_back({glyphs.side, glyphs.tone});
  return line;
}

Line box_rule(Border border, std::size_t width) {
  const Glyphs& glyphs = glyphs_of(border);
  return rule(glyphs.left_join, glyphs, glyphs.right_join, width);
}

Line box_bottom(Border border, std::size_t width) {
  const Glyphs& glyphs = glyphs_of(border);
  return rule(glyphs.bottom_left, glyphs, glyphs.bottom_right, width);
}

}  // namespace pullama::client
