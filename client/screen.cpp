#include "client/screen.h"

#include <algorithm>

#include "client/cells.h"

namespace pullama::client {

std::string Screen::rendered(const Line& line) const { return look_.pretty ? paint(line) : to_ascii(text_of(line)); }

std::string Screen::erase_live() {
  if (drawn_rows_ == 0) return {};
  std::string out = "\r";
  if (look_.pretty) {
    out += "\x1b[J";
  } else {
    out += std::string(std::min(drawn_cells_, look_.columns > 0 ? look_.columns - 1 : 0), ' ') + "\r";
  }
  drawn_rows_ = drawn_cells_ = 0;
  return out;
}

std::string Screen::draw_live() {
  std::string out;
  if (live_.empty() || !look_.overwrite) return out;
  if (!look_.pretty) {
    // One row, by carriage return alone, short of the last column so that no terminal wraps it.
    const std::string text(cut_cells(rendered(live_.back()), look_.columns > 1 ? look_.columns - 1 : 1));
    out = "\r" + text;
    if (text.size() < drawn_cells_) out += std::string(drawn_cells_ - text.size(), ' ');
    drawn_rows_ = 1;
    drawn_cells_ = text.size();
    return out + "\r";
  }
  const std::size_t room = look_.rows > 2 ? look_.rows - 1 : 1;
  const std::size_t rows = std::min(live_.size(), room);
  // A terminal that was made narrower may tell us a moment too late: rows that are too wide for it must be cut by it,
  // not wrapped, or going up again would end in the wrong row.
  out = "\r\x1b[?7l";
  for (std::size_t i = 0; i < rows; ++i) {
    if (i > 0) out += "\r\n";
    // Only what the new text leaves is erased, so nothing flickers; behind a full row there is nothing, and erasing
    // there would take its last cell.
    const Line row = fit(live_[i], look_.columns);
    out += rendered(row);
    if (width_of(row) < look_.columns) out += "\x1b[K";
  }
  if (rows < drawn_rows_) out += "\r\n\x1b[J\x1b[A";
  out += "\r\x1b[?7h";
  if (rows > 1) out += "\x1b[" + std::to_string(rows - 1) + "A";
  drawn_rows_ = rows;
  return out;
}

void Screen::resize(std::size_t columns, std::size_t rows) {
  if (columns == look_.columns && rows == look_.rows) return;
  std::string out = erase_live();
  look_.columns = columns;
  look_.rows = rows;
  last_drawn_.clear();
  out += draw_live();
  if (!out.empty()) write_(out);
}

void Screen::print(const Line& line) {
  const std::string erased = erase_live();
  last_drawn_.clear();
  write_(erased + rendered(line) + "\n" + draw_live());
}

void Screen::print_all(const std::vector<Line>& lines) {
  std::string text;
  for (const Line& line : lines) text += rendered(line) + "\n";
  if (text.empty()) return;
  const std::string erased = erase_live();
  last_drawn_.clear();
  write_(erased + text + draw_live());
}

void Screen::cursor(bool is_shown) {
  if (!look_.pretty || is_shown != cursor_hidden_) return;
  cursor_hidden_ = !is_shown;
  note_cursor(cursor_hidden_);
  write_(is_shown ? "\x1b[?25h" : "\x1b[?25l");
}

void Screen::raw(std::string_view text) { write_(erase_live() + std::string(text)); }

void Screen::live(std::vector<Line> lines) {
  live_ = std::move(lines);
  if (live_.empty()) {
    const std::string out = erase_live();
    last_drawn_.clear();
    if (!out.empty()) write_(out);
    return;
  }
  std::string out = draw_live();
  if (out.empty() || out == last_drawn_) return;
  write_(out);
  last_drawn_ = std::move(out);
}

}  // namespace pullama::client
