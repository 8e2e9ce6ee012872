#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "daemon/registry/http_client.h"
#include "tests/support/http/raw_server.h"
#include "tests/support/http/recording_handler.h"

using namespace pullama::registry;
using pullama::testing::Peer;
using pullama::testing::RawServer;
using pullama::testing::RecordingHandler;
using Kind = HttpFailure::Kind;

namespace {

// Runs the request on a thread, stops it once `reached` is ready, and expects that it then ends as stopped. Every
// timeout of the request is far longer than the test may run.
void stop_when(std::future<void> reached, const std::string& url) {
  CurlHttp http({});
  HttpRequest request;
  request.url = url;
  request.connect_timeout = request.head_timeout = std::chrono::hours(1);
  RecordingHandler handler;
  std::stop_source stop;
  auto result =
      std::async(std::launch::async, [&] { return http.connect({})->perform(request, handler, stop.get_token()); });
  reached.wait();
  stop.request_stop();
  const auto ended = result.get();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().kind == Kind::kStopped);
}

}  // namespace

TEST_CASE("a stop takes effect while the TLS handshake is waited for") {
  std::promise<void> accepted;
  const RawServer server([&](Peer& peer) {
    accepted.set_value();
    peer.hold();
  });
  stop_when(accepted.get_future(), "https" + server.url("/").substr(4));
}

TEST_CASE("a stop takes effect while headers are waited for") {
  std::promise<void> asked;
  const RawServer server([&](Peer& peer) {
    if (peer.request()) asked.set_value();
    peer.send("HTTP/1.1 200 OK\r\nX-Sl");
    peer.hold();
  });
  stop_when(asked.get_future(), server.url("/"));
}

TEST_CASE("a stop takes effect while the body is waited for") {
  std::promise<void> sent;
  const RawServer server([&](Peer& peer) {
    if (peer.request()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    sent.set_value();
    peer.hold();
  });
  stop_when(sent.get_future(), server.url("/"));
}

TEST_CASE("a stop takes effect while the connection is being made") {
  // A listener whose queue is full drops what comes, so that connecting waits.
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(listener, generic, length) == 0);
  REQUIRE(::listen(listener, 0) == 0);
  REQUIRE(::getsockname(listener, generic, &length) == 0);
  std::vector<int> fillers;
  for (int i = 0; i < 4; ++i) {
    fillers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    static_cast<void>(::connect(fillers.back(), generic, length));
  }
  std::promise<void> at_once;
  at_once.set_value();
  stop_when(at_once.get_future(), "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/");
  for (const int socket : fillers) ::close(socket);
  ::close(listener);
}

TEST_CASE("a request that was stopped before it began is not sent") {
  const RawServer server([](Peer&) {});
  std::stop_source stop;
  stop.request_stop();
  CurlHttp http({});
  HttpRequest request;
  request.url = server.url("/");
  RecordingHandler handler;
  const auto result = http.connect({})->perform(request, handler, stop.get_token());
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kStopped);
  CHECK(server.connections() == 0);
}

TEST_CASE("a connection can be used again after a stop") {
  std::promise<void> asked_again;
  std::atomic<unsigned> connections{0};
  const RawServer server([&](Peer& peer) {
    const bool first = ++connections == 1;
    for (unsigned count = 1; peer.request(); ++count) {
      if (first && count == 2) {
        asked_again.set_value();
        break;
      }
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")) return;
    }
    peer.hold();
  });
  CurlHttp http({});
  const auto connection = http.connect({});
  HttpRequest request;
  request.url = server.url("/");
  RecordingHandler handler;
  REQUIRE(connection->perform(request, handler, {}));
  std::stop_source stop;
  auto stopped =
      std::async(std::launch::async, [&] { return connection->perform(request, handler, stop.get_token()); });
  asked_again.get_future().wait();
  stop.request_stop();
  CHECK_FALSE(stopped.get());
  RecordingHandler again;
  REQUIRE(connection->perform(request, again, {}));
  CHECK(again.body == "abc");
}
