#include "client/connection.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "proto/methods.h"
#include "proto/params.h"
#include "proto/results.h"

using namespace pullama;
using namespace pullama::client;
using namespace std::chrono_literals;

namespace {

// Accepts one client, reads one line, writes what it is told to and hangs up; where it does not listen, without
// reading.
class Peer {
 public:
  explicit Peer(std::function<std::string(const std::string& request)> answer, bool listens = true) {
    std::array<char, 32> name{};
    std::strcpy(name.data(), "/tmp/pullama-test-XXXXXX");
    folder_ = mkdtemp(name.data());
    listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path().data(), path().size());
    REQUIRE(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    thread_ = std::thread([this, answer, listens] {
      const int fd = accept(listener_, nullptr, nullptr);
      std::string request;
      char byte = 0;
      while (listens && read(fd, &byte, 1) == 1 && byte != '\n') request += byte;
      const std::string reply = answer(request);
      for (std::size_t at = 0; at < reply.size();) {
        const ssize_t sent = send(fd, reply.data() + at, reply.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) break;
        at += static_cast<std::size_t>(sent);
      }
      shutdown(fd, SHUT_WR);
      while (listens && read(fd, &byte, 1) == 1) {
      }
      close(fd);
    });
  }
  ~Peer() {
    shutdown(listener_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    close(listener_);
    std::filesystem::remove_all(folder_);
  }
  // Until it has hung up.
  void wait() { thread_.join(); }
  std::string path() const { return folder_ + "/d.sock"; }
  Endpoint endpoint() const { return {path(), EndpointSource::kOption}; }

 private:
  std::string folder_;
  int listener_ = -1;
  std::thread thread_;
};

const char kEvent[] =
    R"({"jsonrpc":"2.0","method":"event","params":{"seq":5,"time":"2026-11-21T19:20:13.123Z","type":"job.paused","job":"j1","model":"m:latest"}})";

}  // namespace

TEST_CASE("a reply is told apart from the events around it") {
  Peer peer([](const std::string& request) {
    CHECK(request.find("\"method\":\"limits.get\"") != std::string::npos);
    return std::string(kEvent) + "\n" +
           R"({"jsonrpc":"2.0","id":99,"result":{"rate":7,"connections":0,"parallel_models":1}})" + "\n" +
           R"({"jsonrpc":"2.0","id":1,"result":{"rate":5,"connections":0,"parallel_models":1}})" + "\n" +
           R"({"jsonrpc":"2.0","method":"event","params":{"seq":6,"time":"2026-11-21T19:20:13.123Z","type":"job.from_the_future"}})" +
           "\n" + kEvent + "\n";
  });
  auto connection = Connection::open(peer.endpoint(), 5s);
  REQUIRE(connection);
  const auto limits = (*connection)->call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{}, 5s);
  REQUIRE(limits);
  CHECK(limits->rate == 5);
  for (int i = 0; i < 2; ++i) {
    const auto event = (*connection)->next_event(5s, -1);
    REQUIRE(event);
    REQUIRE(*event);
    CHECK((*event)->seq == 5U);
    CHECK((*event)->type() == "job.paused");
  }
  const auto end = (*connection)->next_event(5s, -1);
  CHECK_FALSE(end);
  CHECK((*connection)->is_lost());
}

TEST_CASE("an error reply comes back with its kind and hint, and the connection lives") {
  Peer peer([](const std::string&) {
    return std::string(
               R"({"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"held","data":{"kind":"locked","exit_code":1,"hint":"use --socket /x/y.sock"}}})") +
           "\n";
  });
  auto connection = Connection::open(peer.endpoint(), 5s);
  REQUIRE(connection);
  const auto reply = (*connection)->call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{}, 5s);
  REQUIRE_FALSE(reply);
  CHECK(reply.error().code == ErrorCode::kLocked);
  CHECK(reply.error().hint == "use --socket /x/y.sock");
  CHECK_FALSE((*connection)->is_lost());
}

TEST_CASE("a refusal that came before the question is the answer to it") {
  Peer peer(
      [](const std::string&) {
        return std::string(
                   R"({"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"it is full","data":{"kind":"internal","exit_code":1,"hint":"wait"}}})") +
               "\n";
      },
      false);
  auto connection = Connection::open(peer.endpoint(), 5s);
  REQUIRE(connection);
  peer.wait();
  const auto reply = (*connection)->call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{}, 5s);
  REQUIRE_FALSE(reply);
  CHECK(reply.error().message == "it is full");
  CHECK(reply.error().hint == "wait");
  REQUIRE_FALSE((*connection)->call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{}, 5s));
  CHECK((*connection)->is_lost());
}

TEST_CASE("what does not speak the protocol ends the connection with a sentence") {
  for (const std::string& answer : {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("\xff\xfe\n"),
                                    std::string("[[[[\n"), std::string()}) {
    Peer peer([&](const std::string&) { return answer; });
    auto connection = Connection::open(peer.endpoint(), 5s);
    REQUIRE(connection);
    const auto reply = (*connection)->call<proto::Limits>(proto::method::kLimitsGet, proto::NoParams{}, 5s);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == ErrorCode::kNetwork);
    CHECK((*connection)->is_lost());
  }
}

TEST_CASE("a socket where nobody listens, and a folder in /tmp that is not ours alone, are refused") {
  CHECK(Connection::open({"/nowhere/at/all.sock", EndpointSource::kOption}, 1s).error().code == ErrorCode::kNetwork);
  std::array<char, 32> name{};
  std::strcpy(name.data(), "/tmp/pullama-test-XXXXXX");
  const std::string folder = mkdtemp(name.data());
  std::filesystem::permissions(folder, std::filesystem::perms(0755));
  CHECK(Connection::open({folder + "/d.sock", EndpointSource::kTmp}, 1s).error().code == ErrorCode::kPermission);
  std::filesystem::permissions(folder, std::filesystem::perms(0700));
  CHECK(Connection::open({folder + "/d.sock", EndpointSource::kTmp}, 1s).error().code == ErrorCode::kNetwork);
  std::filesystem::remove_all(folder);
}
