#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include "daemon/io/companion.h"
#include "daemon/io/spawn_posix.h"

namespace pullama::io {
namespace {

// The file that this process runs, also after an update has put another in its place.
constexpr const char* kThisProgram = "/proc/self/exe";

// Those that were let go, until they have ended.
class Left {
 public:
  void add(pid_t child) {
    const std::lock_guard lock(mutex_);
    children_.push_back(child);
  }
  void reap() {
    const std::lock_guard lock(mutex_);
    std::erase_if(children_, [](pid_t child) {
      int status = 0;
      return uninterrupted([&] { return ::waitpid(child, &status, WNOHANG); }) != 0;
    });
  }

 private:
  std::mutex mutex_;  // guards children_
  std::vector<pid_t> children_;
};

Left& left() {
  static Left all;
  return all;
}

}  // namespace

bool MessageChannel::send(std::string_view message) {
  if (message.size() > kMaxMessageBytes) return false;
  return uninterrupted([&] { return ::send(end_.get(), message.data(), message.size(), MSG_NOSIGNAL); }) >= 0;
}

void MessageChannel::offer(std::string_view message) {
  static_cast<void>(::send(end_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

MessageChannel::Got MessageChannel::receive(std::string& message, std::chrono::milliseconds limit) {
  pollfd wait{end_.get(), POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(limit.count())) <= 0) return Got::kNothing;
  message.resize(kMaxMessageBytes);
  const auto count =
      uninterrupted([&] { return ::recv(end_.get(), message.data(), message.size(), MSG_TRUNC | MSG_DONTWAIT); });
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Got::kNothing;
  // Messages are never empty: nothing is the end.
  if (count <= 0 || static_cast<std::size_t>(count) > kMaxMessageBytes) return Got::kEnd;
  message.resize(static_cast<std::size_t>(count));
  return Got::kMessage;
}

bool MessageChannel::is_other_side_gone() const {
  char first = 0;
  const auto count = uninterrupted([&] { return ::recv(end_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT); });
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

Result<std::unique_ptr<Companion>> Companion::start(std::vector<std::string> words) {
  left().reap();
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail(ErrorCode::kInternal, fmt::format("no socket pair: {}", std::strerror(errno)), {}, errno);
  }
  Descriptor ours(ends[0]);
  const Descriptor theirs(ends[1]);
  for (const int end : ends) {
    constexpr int kRoom = 2 * kMaxMessageBytes;
    if (::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom) != 0) {
      return fail(ErrorCode::kInternal, fmt::format("no room in a socket pair: {}", std::strerror(errno)), {}, errno);
    }
  }
  pid_t child = -1;
  const int fault = spawn(child, kThisProgram, std::move(words), process_variables(),
                          {{STDERR_FILENO, STDERR_FILENO}, {theirs.get(), MessageChannel::kCompanionsEnd}});
  if (fault != 0) {
    return fail(ErrorCode::kInternal, fmt::format("{} cannot be started: {}", kThisProgram, std::strerror(fault)), {},
                fault);
  }
  return std::unique_ptr<Companion>(new Companion(child, std::move(ours)));
}

void Companion::leave(std::unique_ptr<Companion> companion) {
  left().reap();
  left().add(std::exchange(companion->child_, -1));
}

Companion::~Companion() {
  channel_.reset();
  if (child_ < 0) return;
  ::kill(child_, SIGKILL);
  int status = 0;
  static_cast<void>(uninterrupted([&] { return ::waitpid(child_, &status, 0); }));
}

}  // namespace pullama::io
