#pragma once
// Permanent lines above, live lines below. Live lines are drawn in place, cut to the terminal, and vanish when cleared.
// On anything that cannot redraw, the live area shows nothing; whoever prints decides how often a plain line is due.

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/line.h"
#include "client/terminal.h"

namespace pullama::client {

class Screen {
 public:
  using Write = std::function<void(std::string_view)>;

  Screen(Look look, Write write) : look_(look), write_(std::move(write)) {}

  const Look& look() const { return look_; }
  void resize(std::size_t columns, std::size_t rows);

  void print(const Line& line);
  void print_all(const std::vector<Line>& lines);  // in one write
  void raw(std::string_view text);                 // as it is: documents, text that belongs to the user
  void live(std::vector<Line> lines);
  void clear() { live({}); }
  void cursor(bool is_shown);  // hidden on a pretty terminal only

 private:
  std::string rendered(const Line& line) const;
  std::string erase_live();
  std::string draw_live();

  Look look_;
  Write write_;
  std::vector<Line> live_;
  std::size_t drawn_rows_ = 0;   // rows of the live area on the screen; the cursor is at its first cell
  std::size_t drawn_cells_ = 0;  // without escape sequences: how much of the one live row has to be blanked
  std::string last_drawn_;
  bool cursor_hidden_ = false;
};

}  // namespace pullama::client
