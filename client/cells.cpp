#include "client/cells.h"

#include <algorithm>
#include <array>

namespace pullama::client {
namespace {

struct Range {
  char32_t first, last;
};

// Unicode's zero-width and wide blocks, coarse on purpose: a mark counted too wide costs a blank, too narrow a wrap.
constexpr std::array kZero{Range{0x0300, 0x036F}, Range{0x0483, 0x0489}, Range{0x0591, 0x05BD}, Range{0x0610, 0x061A},
                           Range{0x064B, 0x065F}, Range{0x0900, 0x0902}, Range{0x200B, 0x200F}, Range{0x202A, 0x202E},
                           Range{0x2060, 0x2064}, Range{0x20D0, 0x20F0}, Range{0xFE00, 0xFE0F}, Range{0xFE20, 0xFE2F},
                           Range{0xFEFF, 0xFEFF}};
constexpr std::array kWide{
    Range{0x1100, 0x115F},   Range{0x231A, 0x231B},   Range{0x23E9, 0x23EC},   Range{0x23F0, 0x23F0},
    Range{0x23F3, 0x23F3},   Range{0x25FD, 0x25FE},   Range{0x2614, 0x2615},   Range{0x2648, 0x2653},
    Range{0x267F, 0x267F},   Range{0x2693, 0x2693},   Range{0x26A1, 0x26A1},   Range{0x26AA, 0x26AB},
    Range{0x26BD, 0x26BE},   Range{0x26C4, 0x26C5},   Range{0x26CE, 0x26CE},   Range{0x26D4, 0x26D4},
    Range{0x26EA, 0x26EA},   Range{0x26F2, 0x26F3},   Range{0x26F5, 0x26F5},   Range{0x26FA, 0x26FA},
    Range{0x26FD, 0x26FD},   Range{0x2705, 0x2705},   Range{0x270A, 0x270B},   Range{0x2728, 0x2728},
    Range{0x274C, 0x274C},   Range{0x274E, 0x274E},   Range{0x2753, 0x2755},   Range{0x2757, 0x2757},
    Range{0x2795, 0x2797},   Range{0x27B0, 0x27B0},   Range{0x27BF, 0x27BF},   Range{0x2B1B, 0x2B1C},
    Range{0x2B50, 0x2B50},   Range{0x2B55, 0x2B55},   Range{0x2E80, 0x303E},   Range{0x3041, 0x33FF},
    Range{0x3400, 0x4DBF},   Range{0x4E00, 0x9FFF},   Range{0xA000, 0xA4CF},   Range{0xA960, 0xA97F},
    Range{0xAC00, 0xD7A3},   Range{0xF900, 0xFAFF},   Range{0xFE30, 0xFE6F},   Range{0xFF00, 0xFF60},
    Range{0xFFE0, 0xFFE6},   Range{0x16FE0, 0x18CFF}, Range{0x1AFF0, 0x1B2FF}, Range{0x1F004, 0x1F004},
    Range{0x1F0CF, 0x1F0CF}, Range{0x1F18E, 0x1F18E}, Range{0x1F191, 0x1F19A}, Range{0x1F200, 0x1F320},
    Range{0x1F32D, 0x1F64F}, Range{0x1F680, 0x1F6FF}, Range{0x1F7E0, 0x1F7EB}, Range{0x1F900, 0x1FAFF},
    Range{0x20000, 0x3FFFD}};

template <std::size_t N>
bool is_in(const std::array<Range, N>& table, char32_t point) {
  const auto after = std::upper_bound(table.begin(), table.end(), point,
                                      [](char32_t value, const Range& range) { return value < range.first; });
  return after != table.begin() && point <= std::prev(after)->last;
}

}  // namespace

Cell cell_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  if (length == 1 || lead > 0xF4 || at + length > text.size()) return {1, 1};
  char32_t point = lead & (0xFFU >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return {1, 1};
    point = (point << 6U) | (byte(i) & 0x3FU);
  }
  return {length, is_in(kZero, point) ? 0U : is_in(kWide, point) ? 2U : 1U};
}

std::size_t cell_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Cell cell = cell_at(text, at);
    width += cell.cells;
    at += cell.bytes;
  }
  return width;
}

std::string_view cut_cells(std::string_view text, std::size_t cells) {
  std::size_t at = 0;
  for (std::size_t width = 0; at < text.size();) {
    const Cell cell = cell_at(text, at);
    if (width + cell.cells > cells) break;
    width += cell.cells;
    at += cell.bytes;
  }
  return text.substr(0, at);
}

std::string_view cut_cells_in_front(std::string_view text, std::size_t cells) {
  for (std::size_t width = cell_width(text); width > cells;) {
    const Cell cell = cell_at(text, 0);
    width -= cell.cells;
    text.remove_prefix(cell.bytes);
  }
  return text;
}

std::vector<std::string> wrap_cells(std::string_view text, std::size_t cells) {
  cells = std::max<std::size_t>(cells, 1);
  std::vector<std::string> lines(1);
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t blank = text.find(' ');
    std::string_view word = text.substr(0, blank);
    text.remove_prefix(blank == std::string_view::npos ? text.size() : blank + 1);
    if (word.empty()) continue;
    if (used > 0 && used + 1 + cell_width(word) > cells) {
      lines.emplace_back();
      used = 0;
    }
    if (used > 0) {
      lines.back() += ' ';
      ++used;
    }
    while (cell_width(word) > cells - used) {
      std::string_view part = cut_cells(word, cells - used);
      if (part.empty()) part = word.substr(0, cell_at(word, 0).bytes);  // wider than the line itself
      lines.back() += part;
      word.remove_prefix(part.size());
      lines.emplace_back();
      used = 0;
      if (word.empty()) break;
    }
    lines.back() += word;
    used += cell_width(word);
  }
  if (lines.size() > 1 && lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace pullama::client
