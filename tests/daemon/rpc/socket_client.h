#pragma once
// A client of the daemon's socket that is a plain descriptor and never blocks, and a folder for that socket.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <array>
#include <cerrno>
#include <deque>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "common/endpoint.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::rpc::test {

using testing::TempDir;

inline Endpoint chosen(std::string path) { return {std::move(path), EndpointSource::kOption}; }

// -1 and errno when nobody is there.
inline int connect_to(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

class Client {
 public:
  explicit Client(const std::string& path) : fd_(connect_to(path)) { REQUIRE(fd_ >= 0); }
  Client(Client&& other) noexcept
      : lines(std::move(other.lines)),
        fd_(std::exchange(other.fd_, -1)),
        rest_(std::move(other.rest_)),
        ended_(other.ended_) {}
  Client& operator=(Client&&) = delete;
  ~Client() { leave(); }
  void leave() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }

  // How much of it the kernel took; 0 when there is no room, -1 when the daemon has closed.
  ssize_t offer(std::string_view bytes) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) return count;
    return errno == EAGAIN ? 0 : -1;
  }
  void send(std::string_view bytes) { REQUIRE(offer(bytes) == static_cast<ssize_t>(bytes.size())); }
  void half_close() { REQUIRE(::shutdown(fd_, SHUT_WR) == 0); }

  // Takes what has arrived.
  void read() {
    std::array<char, 65536> buffer;
    for (;;) {
      const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count < 0 && errno == EAGAIN) return;
      if (count <= 0) {
        ended_ = true;
        return;
      }
      std::string_view arrived(buffer.data(), static_cast<std::size_t>(count));
      for (std::size_t end; (end = arrived.find('\n')) != std::string_view::npos; arrived.remove_prefix(end + 1)) {
        lines.push_back(std::exchange(rest_, {}).append(arrived.substr(0, end)));
      }
      rest_ += arrived;
    }
  }
  bool ended() const { return ended_; }
  bool got_nothing() const { return lines.empty() && rest_.empty(); }

  nlohmann::json line(std::size_t index) const { return nlohmann::json::parse(lines.at(index)); }

  std::deque<std::string> lines;

 private:
  int fd_;
  std::string rest_;
  bool ended_ = false;
};

}  // namespace pullama::rpc::test
