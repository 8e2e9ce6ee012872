#include "client/commands/table.h"

#include <algorithm>

#include "client/cells.h"
#include "common/printable.h"

namespace pullama::client {

std::vector<std::string> Table::lines() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], cell_width(printable(row[i])));
  }
  std::vector<std::string> lines;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = printable(row[i]);
      line += cell;
      if (i + 1 < row.size()) line += std::string(widths[i] - cell_width(cell) + 3, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

void Table::print(Context& context) const {
  std::vector<Line> all;
  for (std::string& line : lines()) all.push_back({{std::move(line), Tone::kText}});
  context.streams.out.print_all(all);
}

}  // namespace pullama::client
