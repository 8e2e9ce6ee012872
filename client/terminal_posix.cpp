#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "client/terminal.h"

namespace pullama::client {
namespace {

constexpr char kShow[] = "\x1b[?25h";
constexpr char kHide[] = "\x1b[?25l";
volatile std::sig_atomic_t cursor_hidden = 0;
int first_output_error = 0;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The C library's order: LC_ALL, then LC_CTYPE, then LANG; nothing set at all counts as UTF-8, as in the original.
bool is_utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value = environment(name);
    if (value.empty()) continue;
    for (char& letter : value) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    return value.find("UTF-8") != std::string::npos || value.find("UTF8") != std::string::npos;
  }
  return true;
}

}  // namespace

Look look_of(int fd, bool no_color) {
  Look look;
  look.is_terminal = isatty(fd) == 1;
  const std::string term = environment("TERM");
  const bool able = look.is_terminal && term != "dumb" && !term.empty();
  look.pretty = able && !no_color && environment("NO_COLOR").empty() && is_utf8_locale();
  look.overwrite = able && environment("CI").empty();
  measure(fd, look);
  return look;
}

void measure(int fd, Look& look) {
  winsize size{};
  if (look.is_terminal && ioctl(fd, TIOCGWINSZ, &size) == 0) {
    look.columns = size.ws_col > 0 ? size.ws_col : 80;
    look.rows = size.ws_row > 0 ? size.ws_row : 24;
  }
}

bool is_input_terminal() { return isatty(STDIN_FILENO) == 1; }

void claim_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1) continue;
    if (fd == STDOUT_FILENO) first_output_error = EBADF;
    // The lowest that is free, so this one. Kept open for whatever is started later.
    [[maybe_unused]] const int opened = ::open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {  // a terminal that another program made non-blocking
      pollfd wait{fd, POLLOUT, 0};
      if (poll(&wait, 1, 1000) >= 0 || errno == EINTR) continue;
    }
    if (written <= 0) {
      if (fd == kStdout && first_output_error == 0) first_output_error = errno == 0 ? EIO : errno;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

int output_error() { return first_output_error; }

void note_cursor(bool is_hidden) { cursor_hidden = is_hidden ? 1 : 0; }

bool cursor_is_hidden() { return cursor_hidden != 0; }

void show_cursor() {
  if (cursor_hidden == 0) return;
  cursor_hidden = 0;
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, kShow, sizeof kShow - 1);
}

void hide_cursor_again() {
  cursor_hidden = 1;
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, kHide, sizeof kHide - 1);
}

}  // namespace pullama::client
