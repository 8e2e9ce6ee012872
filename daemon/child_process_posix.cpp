#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "daemon/child_process.h"
#include "daemon/io/descriptor_posix.h"
#include "daemon/io/spawn_posix.h"

namespace pullama {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kMostOutput = 4096;
constexpr milliseconds kTick{20};  // between two looks at the child
constexpr milliseconds kGrace{500};

// Waits for at most a tick; keeps the beginning, throws the rest away.
void read_output(int fd, bool& open, std::string& output) {
  pollfd wait{open ? fd : -1, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(kTick.count())) <= 0) return;
  std::array<char, 4096> buffer{};
  const ssize_t count = io::uninterrupted([&] { return ::read(fd, buffer.data(), buffer.size()); });
  if (count == 0 || (count < 0 && errno != EAGAIN)) open = false;
  if (count > 0) output.append(buffer.data(), std::min(static_cast<std::size_t>(count), kMostOutput - output.size()));
}

}  // namespace

Result<ChildEnd> run_child(const std::vector<std::string>& words, const std::vector<std::string>& environment,
                           milliseconds limit, const std::stop_token& stop) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail(ErrorCode::kInternal, fmt::format("no pipe: {}", std::strerror(errno)), {}, errno);
  }
  const io::Descriptor from(ends[0]);
  std::optional<io::Descriptor> to(ends[1]);
  // The child writes as any program does; only our end never waits.
  if (::fcntl(ends[1], F_SETFL, 0) != 0) return fail(ErrorCode::kInternal, "no pipe that waits", {}, errno);
  pid_t child = -1;
  if (const int fault = io::spawn(child, words.front(), words, environment, {{ends[1], 1}, {ends[1], 2}}); fault != 0) {
    return fail(fault == ENOENT ? ErrorCode::kNotFound : ErrorCode::kPermission,
                fmt::format("{} cannot be started: {}", words.front(), std::strerror(fault)), {}, fault);
  }
  to.reset();

  ChildEnd end;
  bool open = true;
  const auto overrun = Clock::now() + limit;
  std::optional<Clock::time_point> told;  // to end
  for (;;) {
    siginfo_t ended{};
    if (io::uninterrupted(
            [&] { return ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT); }) != 0) {
      return fail(ErrorCode::kInternal, fmt::format("waitid: {}", std::strerror(errno)), {}, errno);
    }
    if (ended.si_pid == child) {
      // What it started goes with it, while its number is still ours.
      if (told) ::kill(-child, SIGKILL);
      int status = 0;
      io::uninterrupted([&] { return ::waitpid(child, &status, 0); });
      for (bool more = open; more;) {  // what it said last, as far as it is there
        const std::size_t before = end.output.size();
        read_output(from.get(), open, end.output);
        more = open && end.output.size() > before && end.output.size() < kMostOutput;
      }
      if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
      if (stop.stop_requested() && told && !end.timed_out) return fail(ErrorCode::kCancelled, "the daemon stops");
      return end;
    }
    const auto now = Clock::now();
    if (!told && (now >= overrun || stop.stop_requested())) {
      end.timed_out = now >= overrun;
      told = now;
      ::kill(-child, SIGTERM);  // fails only where the child has just ended
    } else if (told && now - *told >= kGrace) {
      ::kill(-child, SIGKILL);
    }
    if (open) {
      read_output(from.get(), open, end.output);
    } else {
      ::poll(nullptr, 0, static_cast<int>(kTick.count()));
    }
  }
}

std::vector<std::string> process_variables() { return io::process_variables(); }

}  // namespace pullama
