#pragma once
// What the two outputs are and can do. Asked once at the start; columns again after a resize.

#include <cstddef>
#include <string_view>

namespace pullama::client {

struct Look {
  bool is_terminal = false;
  bool pretty = false;     // colours, boxes, spinner: a UTF-8 terminal that nobody asked to be plain
  bool overwrite = false;  // a line may be drawn again in place
  std::size_t columns = 80, rows = 24;
};

constexpr int kStdout = 1;
constexpr int kStderr = 2;

Look look_of(int fd, bool no_color);
void measure(int fd, Look& look);  // columns and rows as they are now
bool is_input_terminal();

// Opens /dev/null in the place of each standard descriptor that is closed, or the next thing opened would be written to
// as if it were the terminal. A closed standard output counts as one that cannot be written.
void claim_standard_descriptors();

// Writes all of it; false where the other side is gone or the disk is full. Remembered: see output_failed().
bool write_all(int fd, std::string_view text);
int output_error();  // errno of the first write to standard output that failed, 0

// The cursor is shown again at exit, and by the signals that end the program: Screen notes here what it did to it.
void note_cursor(bool is_hidden);
bool cursor_is_hidden();
void show_cursor();        // does nothing where it is shown; also called in signal handlers
void hide_cursor_again();  // after show_cursor(), when the program was continued

}  // namespace pullama::client
