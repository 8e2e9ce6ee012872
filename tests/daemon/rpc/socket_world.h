#pragma once
// A server on a real socket in a folder of its own, and clients that are plain descriptors, all driven by one
// io_context on the test's thread. Waiting means running the loop until something is so; the limit only turns a hang
// into a failure.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/endpoint.h"
#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/server.h"
#include "proto/params.h"

namespace pullama::rpc::test {

class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rpc-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

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
      rest_.append(buffer.data(), static_cast<std::size_t>(count));
      for (std::size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1)) {
        lines.push_back(rest_.substr(0, end));
      }
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

struct Loop {
  boost::asio::io_context io;

  template <class Condition>
  void until(Condition condition) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition()) {
      REQUIRE(std::chrono::steady_clock::now() < limit);
      io.restart();
      if (io.poll() == 0) io.run_one_for(std::chrono::milliseconds(2));
    }
  }
  // Until nothing is left to do now.
  void settle() {
    do io.restart();
    while (io.poll() > 0);
  }
  void until_lines(Client& client, std::size_t count) {
    until([&] {
      client.read();
      return client.lines.size() >= count || client.ended();
    });
    REQUIRE(client.lines.size() >= count);
  }
  void until_ended(Client& client) {
    until([&] {
      client.read();
      return client.ended();
    });
  }
  nlohmann::json next(Client& client) {
    until_lines(client, 1);
    auto line = client.line(0);
    client.lines.pop_front();
    return line;
  }
};

struct SocketWorld : Loop {
  TempDir dir;
  std::string path = dir / "d.sock";
  Dispatcher dispatcher;
  std::vector<std::pair<nlohmann::json, Reply>> held;  // requests to `later`, unanswered
  std::vector<std::string> called;                     // params of `note`
  std::unique_ptr<Server> server;

  SocketWorld() {
    dispatcher.add_text("echo", [](const std::string& params, SessionContext&, Reply reply) { reply.answer(params); });
    dispatcher.add_text("later", [this](const std::string& params, SessionContext&, Reply reply) {
      held.emplace_back(nlohmann::json::parse(params), std::move(reply));
    });
    dispatcher.add_text("note", [this](const std::string& params, SessionContext&, Reply reply) {
      called.push_back(params);
      reply.answer("{}");
    });
    dispatcher.add_text("drop", [](const std::string&, SessionContext&, const Reply&) {});
    dispatcher.add_text("throw", [](const std::string&, SessionContext&, const Reply&) {
      throw std::runtime_error("a handler's own mistake");
    });
    dispatcher.add_text("large", [](const std::string& params, SessionContext&, Reply reply) {
      const auto size = nlohmann::json::parse(params).at("bytes").get<std::size_t>();
      reply.answer('"' + std::string(size, 'x') + '"');
    });
    dispatcher.add<proto::JobParams>(
        "typed", [](proto::JobParams params, SessionContext&, Reply reply) { reply.answer('"' + params.job + '"'); });
  }
  ~SocketWorld() { held.clear(); }

  void start(ServerConfig config = {}) {
    server = std::make_unique<Server>(io, dispatcher);
    if (config.endpoint.path.empty()) config.endpoint = chosen(path);
    const auto started = server->start(std::move(config));
    REQUIRE_MESSAGE(started.has_value(), (started ? "" : started.error().message));
  }
  Client connect() {
    settle();  // those who left are gone
    const std::size_t before = server->connections();
    Client client(path);
    until([&] { return server->connections() > before; });
    return client;
  }
};

inline std::string request(int id, const std::string& method, const std::string& params = "{}") {
  return R"({"jsonrpc":"2.0","id":)" + std::to_string(id) + R"(,"method":")" + method + R"(","params":)" + params +
         "}\n";
}

}  // namespace pullama::rpc::test
