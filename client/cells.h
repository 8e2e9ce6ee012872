#pragma once
// How wide text is on a terminal, in cells: what every line is measured with before it is printed, so that none wraps.
// Text is UTF-8 without control characters (common/printable.h); a byte that is no UTF-8 counts as one cell.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pullama::client {

// One code point of text[at…]: its bytes and its cells (0 for combining marks, 2 for East Asian wide and emoji).
struct Cell {
  std::size_t bytes = 0;
  std::size_t cells = 0;
};
Cell cell_at(std::string_view text, std::size_t at);

std::size_t cell_width(std::string_view text);

// The longest beginning that fits.
std::string_view cut_cells(std::string_view text, std::size_t cells);

// The longest end that fits.
std::string_view cut_cells_in_front(std::string_view text, std::size_t cells);

// Words of the text in lines of at most `cells`; a longer word is broken. Never empty, `cells` of 0 counts as 1.
std::vector<std::string> wrap_cells(std::string_view text, std::size_t cells);

}  // namespace pullama::client
