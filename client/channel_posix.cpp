#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "client/channel.h"

namespace pullama::client {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

int left_until(Clock::time_point end) {
  const auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

// In /tmp anyone may have made the folder, and the daemon in it: a socket there is trusted only in a folder of our own.
Status check_folder(const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/'));
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) {
    return fail(ErrorCode::kNetwork, fmt::format("no daemon answers at {}", path), {}, errno);
  }
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 0777U) != 0700U) {
    return fail(ErrorCode::kPermission, fmt::format("{} is not a folder of ours with mode 0700", folder),
                "remove it, or choose another place with --socket PATH");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Channel>> Channel::open(const Endpoint& endpoint, Milliseconds limit) {
  const std::string& path = endpoint.path;
  if (endpoint.folder_needs_check()) {
    if (auto status = check_folder(path); !status) return fail(status.error());
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{} is too long for a socket's path", path));
  }
  std::memcpy(static_cast<void*>(address.sun_path), path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return fail(ErrorCode::kInternal, fmt::format("no socket: {}", std::strerror(errno)), {}, errno);
  std::unique_ptr<Channel> channel(new Channel(fd));

  const auto end = Clock::now() + limit;
  for (;;) {
    sockaddr generic{};
    static_assert(sizeof generic <= sizeof address);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return channel;
    const int fault = errno;
    if (fault == EISCONN) return channel;
    if (fault == EINTR) continue;
    if (fault == EAGAIN && left_until(end) > 0) {  // its backlog is full: a moment's wait
      ::poll(nullptr, 0, std::min(20, left_until(end)));
      continue;
    }
    if (fault == EACCES || fault == EPERM) {
      return fail(ErrorCode::kPermission, fmt::format("the daemon's socket {} is not open to this user", path), {},
                  fault);
    }
    return fail(ErrorCode::kNetwork, fmt::format("no daemon answers at {}", path), {}, fault);
  }
}

Channel::~Channel() { ::close(fd_); }

Channel::Peer Channel::peer() const {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(fd_, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  Peer peer{credentials.pid, {}};
  std::ifstream name(fmt::format("/proc/{}/comm", peer.pid));
  std::getline(name, peer.program);
  return peer;
}

Status Channel::write(std::string_view bytes, Milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && left_until(end) > 0) {
      pollfd wait{fd_, POLLOUT, 0};
      ::poll(&wait, 1, left_until(end));
      continue;
    }
    return fail(ErrorCode::kNetwork, "the daemon went away while a request was sent", {}, errno);
  }
  return {};
}

Channel::Got Channel::read(std::string& into, Milliseconds limit, int wake_fd) {
  const auto end = Clock::now() + limit;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got > 0) {
      into.append(buffer.data(), static_cast<std::size_t>(got));
      return Got::kBytes;
    }
    if (got == 0) return Got::kClosed;
    if (errno == EINTR) {
      if (wake_fd >= 0) return Got::kNothing;
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) return Got::kClosed;
    std::array<pollfd, 2> wait{pollfd{fd_, POLLIN, 0}, pollfd{wake_fd, POLLIN, 0}};
    const int left = left_until(end);
    if (left == 0) return Got::kNothing;
    const int ready = ::poll(wait.data(), wait.size(), left);
    if (ready == 0 || (ready < 0 && errno == EINTR && wake_fd >= 0) || (wait[1].revents & POLLIN) != 0) {
      return Got::kNothing;
    }
  }
}

}  // namespace pullama::client
