#include "daemon/rpc/activation.h"

#include <fcntl.h>

#include "tests/daemon/rpc/socket_world.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;

namespace {

void set_variables(const std::string& pid, const std::string& count) {
  REQUIRE(::setenv("LISTEN_PID", pid.c_str(), 1) == 0);
  REQUIRE(::setenv("LISTEN_FDS", count.c_str(), 1) == 0);
  REQUIRE(::setenv("LISTEN_FDNAMES", "pullamad.socket", 1) == 0);
}

bool variables_are_gone() {
  return std::getenv("LISTEN_PID") == nullptr && std::getenv("LISTEN_FDS") == nullptr &&
         std::getenv("LISTEN_FDNAMES") == nullptr;
}

int listening_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd, 16) == 0);
  return fd;
}

}  // namespace

TEST_CASE("variables of socket activation are read strictly and unset in any case") {
  const std::string us = std::to_string(::getpid());
  enum Outcome { kNothing, kError };
  struct Row {
    std::string pid, count;
    Outcome outcome;
  };
  const Row rows[] = {
      {"1", "1", kNothing},   // for somebody else
      {us, "0", kNothing},    //
      {us, "2", kError},      //
      {us, "-1", kError},     //
      {us, "1x", kError},     //
      {us, "", kError},       //
      {"", "1", kError},      //
      {"0x10", "1", kError},  //
      {us, "99999999999999999999", kError},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pid);
    CAPTURE(row.count);
    set_variables(row.pid, row.count);
    const auto taken = take_activated_socket();
    CHECK(variables_are_gone());
    if (row.outcome == kError) {
      REQUIRE_FALSE(taken.has_value());
      CHECK(taken.error().code == ErrorCode::kInvalidArgument);
    } else {
      REQUIRE(taken.has_value());
      CHECK_FALSE(taken->has_value());
    }
  }
  REQUIRE(::setenv("LISTEN_FDS", "1", 1) == 0);  // without LISTEN_PID
  const auto taken = take_activated_socket();
  REQUIRE(taken.has_value());
  CHECK_FALSE(taken->has_value());
  CHECK(variables_are_gone());
}

TEST_CASE("only a listening Unix stream socket is taken over") {
  std::array<int, 2> pipe_ends{}, pair{};
  REQUIRE(::pipe(pipe_ends.data()) == 0);
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0);
  const int datagram = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  const int tcp = ::socket(AF_INET, SOCK_STREAM, 0);
  for (const int fd : {pipe_ends[0], pair[0], datagram, tcp, 9999}) {
    set_variables(std::to_string(::getpid()), "1");
    const auto taken = take_activated_socket(fd);
    REQUIRE_FALSE(taken.has_value());
    CHECK(taken.error().code == ErrorCode::kInvalidArgument);
  }
  for (const int fd : {pipe_ends[0], pipe_ends[1], pair[0], pair[1], datagram, tcp}) ::close(fd);
}

TEST_CASE("a daemon serves the socket that it was handed and leaves its path behind") {
  SocketWorld world;
  const int fd = listening_socket(world.path);
  set_variables(std::to_string(::getpid()), "1");
  const auto taken = take_activated_socket(fd);
  REQUIRE(taken.has_value());
  REQUIRE(*taken == fd);
  CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  ServerConfig config;
  config.listen_fd = *taken;
  world.start(config);
  CHECK(world.server->socket_path() == world.path);
  Client client = world.connect();
  client.send(request(1, "echo", R"({"a":1})"));
  CHECK(world.next(client)["result"]["a"] == 1);
  bool stopped = false;
  world.server->stop([&] { stopped = true; });
  world.until([&] { return stopped; });
  CHECK(std::filesystem::exists(world.path));
}
