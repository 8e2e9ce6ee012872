#pragma once
// A terminal in memory, as much of one as the client uses: printing, CR, LF, erase, cursor up, colours, autowrap.
// Counts the rows that were entered by wrapping.

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "client/cells.h"

namespace pullama::client::test {

class TerminalModel {
 public:
  explicit TerminalModel(std::size_t columns) : columns_(columns) {}

  void write(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      if (text[at] == '\x1b') {
        at = escape(text, at);
      } else if (text[at] == '\r') {
        column_ = 0;
        ++at;
      } else if (text[at] == '\n') {
        ++row_;
        column_ = 0;
        ++at;
      } else {
        const Cell cell = cell_at(text, at);
        put(std::string(text.substr(at, cell.bytes)), cell.cells);
        at += cell.bytes;
      }
    }
  }

  // Rows without blanks at their ends, up to the last that has anything.
  std::vector<std::string> rows() const {
    std::vector<std::string> out;
    for (const auto& cells : grid_) {
      std::string row;
      for (const std::string& cell : cells) row += cell;
      row.erase(row.find_last_not_of(' ') + 1);
      out.push_back(row);
    }
    while (!out.empty() && out.back().empty()) out.pop_back();
    return out;
  }
  std::size_t wraps() const { return wraps_; }

 private:
  void put(const std::string& text, std::size_t cells) {
    if (column_ + cells > columns_) {
      ++wraps_;
      ++row_;
      column_ = 0;
    }
    while (grid_.size() <= row_) grid_.emplace_back(columns_, " ");
    grid_[row_][column_] = text;
    for (std::size_t i = 1; i < cells; ++i) grid_[row_][column_ + i] = "";
    column_ += cells;
  }

  std::size_t escape(std::string_view text, std::size_t at) {
    std::size_t end = at + 2;
    while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
    const std::string parameter(text.substr(at + 2, end - at - 2));
    const std::size_t number = parameter.empty() ? 1 : static_cast<std::size_t>(std::atoi(parameter.c_str()));
    switch (text[end]) {
      case 'A':
        row_ -= number < row_ ? number : row_;
        break;
      case 'K':
        if (row_ < grid_.size()) {
          for (std::size_t j = parameter == "2" ? 0 : column_; j < columns_; ++j) grid_[row_][j] = " ";
        }
        break;
      case 'J':
        for (std::size_t i = row_; i < grid_.size(); ++i) {
          for (std::size_t j = i == row_ ? column_ : 0; j < columns_; ++j) grid_[i][j] = " ";
        }
        break;
      default:
        break;
    }
    return end + 1;
  }

  std::size_t columns_;
  std::vector<std::vector<std::string>> grid_;
  std::size_t row_ = 0, column_ = 0, wraps_ = 0;
};

}  // namespace pullama::client::test
