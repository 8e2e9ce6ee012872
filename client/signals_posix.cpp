#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "client/signals.h"
#include "client/terminal.h"

namespace pullama::client {
namespace {

std::array<int, 2> wake_pipe{-1, -1};
volatile std::sig_atomic_t stops = 0;
volatile std::sig_atomic_t stopped_by = 0, stopped_at_ms = 0;
volatile std::sig_atomic_t resized = 0;

void wake() {
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], &byte, 1);  // full is as good as written
}

// Wraps after days; only differences count.
std::sig_atomic_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::sig_atomic_t>((static_cast<unsigned long>(now.tv_sec) % 1000000UL) * 1000UL +
                                        static_cast<unsigned long>(now.tv_nsec) / 1000000UL);
}

// timeout(1) and wrappers that forward to the process group send one interruption twice.
constexpr std::sig_atomic_t kOnePressMs = 50;

void on_stop(int number) {
  const int before = errno;
  const std::sig_atomic_t now = now_ms();
  const bool is_echo = number == stopped_by && now >= stopped_at_ms && now - stopped_at_ms <= kOnePressMs;
  if (stops > 0 && !is_echo) {
    show_cursor();
    _exit(1);
  }
  if (stops == 0) {
    stops = 1;
    stopped_by = number;
    stopped_at_ms = now;
  }
  wake();
  errno = before;
}

void on_resize(int) {
  const int before = errno;
  resized = 1;
  wake();
  errno = before;
}

void on_suspend(int) {
  const int before = errno;
  const bool was_hidden = cursor_is_hidden();
  show_cursor();
  static_cast<void>(raise(SIGSTOP));
  if (was_hidden) hide_cursor_again();
  resized = 1;
  wake();
  errno = before;
}

// Not ours to survive: show the cursor and go as if we had not looked.
void on_end(int number) {
  const int before = errno;
  show_cursor();
  static_cast<void>(signal(number, SIG_DFL));
  static_cast<void>(raise(number));
  errno = before;
}

void handle(int number, void (*handler)(int), int flags) {
  struct sigaction before {};
  // What was ignored by whoever started us (nohup) stays so; but for SIGINT, which a script's shell has ignored by
  // every job in the background, and which somebody who sends it there means.
  if (number != SIGINT && sigaction(number, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, nullptr);
}

void restore(int number, void (*handler)(int)) {
  struct sigaction now {};
  if (sigaction(number, nullptr, &now) != 0 || now.sa_handler != handler) return;
  static_cast<void>(signal(number, SIG_DFL));
}

}  // namespace

Signals::Signals() {
  if (pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) wake_pipe = {-1, -1};
  stops = 0;
  resized = 0;
  handle(SIGINT, on_stop, 0);
  handle(SIGTERM, on_stop, 0);
  handle(SIGWINCH, on_resize, SA_RESTART);
  handle(SIGTSTP, on_suspend, SA_RESTART);
  handle(SIGHUP, on_end, 0);
  handle(SIGQUIT, on_end, 0);
}

Signals::~Signals() {
  restore(SIGINT, on_stop);
  restore(SIGTERM, on_stop);
  restore(SIGWINCH, on_resize);
  restore(SIGTSTP, on_suspend);
  restore(SIGHUP, on_end);
  restore(SIGQUIT, on_end);
  for (int& fd : wake_pipe) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  show_cursor();
}

int Signals::fd() const { return wake_pipe[0]; }

bool Signals::stop_requested() const { return stops > 0; }

bool Signals::take_resized() {
  const bool was = resized != 0;
  resized = 0;
  return was;
}

void Signals::drain() {
  std::array<char, 64> bytes{};
  while (wake_pipe[0] >= 0 && ::read(wake_pipe[0], bytes.data(), bytes.size()) > 0) {
  }
}

}  // namespace pullama::client
