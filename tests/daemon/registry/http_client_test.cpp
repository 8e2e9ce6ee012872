#include "daemon/registry/http_client.h"

#include <doctest/doctest.h>

#include <cstring>

#include "tests/support/http/raw_server.h"
#include "tests/support/http/recording_handler.h"

using namespace pullama::registry;
using pullama::testing::Peer;
using pullama::testing::RawServer;
using pullama::testing::RecordingHandler;
using Kind = HttpFailure::Kind;

namespace {

HttpRequest get(const std::string& url) {
  HttpRequest request;
  request.url = url;
  return request;
}

// Answers every request of a connection with the same bytes.
RawServer::Script always(std::string answer, std::string* first_request = nullptr) {
  return [answer = std::move(answer), first_request](Peer& peer) {
    bool first = true;
    while (const auto request = peer.request()) {
      if (first && first_request != nullptr) *first_request = *request;
      first = false;
      if (!peer.send(answer)) return;
    }
  };
}

struct Failure {
  Kind kind;
  Stage stage;
  std::string message;
};

Failure failure_of(const std::string& answer, HttpRequest request = {}) {
  // The answer ends with the connection.
  const RawServer server([&](Peer& peer) {
    if (peer.request()) peer.send(answer);
  });
  request.url = server.url("/secret-free?signature=hush");
  RecordingHandler handler;
  CurlHttp http({});
  const auto result = http.connect({})->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("hush") == std::string::npos);
  CHECK(result.error().message.find("127.0.0.1") != std::string::npos);
  return {result.error().kind, result.error().stage, result.error().message};
}

}  // namespace

TEST_CASE("a request is sent byte for byte and only with the headers that were given") {
  std::string seen;
  const RawServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLocation: /%2b%0d%0a\r\n\r\nhello", &seen));
  CurlHttp http({});
  auto request = get(server.url("/a/../b%2B%2f/./c?x=%0d%0a&y=a+b|c"));
  request.headers = {{"User-Agent", "pullama/test"}, {"Accept-Encoding", "identity"}, {"Range", "bytes=1-2"}};
  RecordingHandler handler;
  const auto result = http.connect({})->perform(request, handler, {});
  REQUIRE(result);
  CHECK(seen == "GET /a/../b%2B%2f/./c?x=%0d%0a&y=a+b|c HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(server.port()) +
                    "\r\nUser-Agent: pullama/test\r\nAccept-Encoding: identity\r\nRange: bytes=1-2\r\n\r\n");
  CHECK(handler.head.status == 200);
  CHECK(*handler.head.find("location") == "/%2b%0d%0a");
  CHECK(handler.head.peer_is_private);
  CHECK(handler.body == "hello");
}

TEST_CASE("a connection is kept and used again until it is closed") {
  const RawServer server(always("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"));
  CurlHttp http({});
  const auto connection = http.connect({});
  for (int i = 0; i < 5; ++i) {
    RecordingHandler handler;
    REQUIRE(connection->perform(get(server.url("/")), handler, {}));
    CHECK(handler.body == "no");
    CHECK(handler.head.peer_is_private);
  }
  CHECK(server.connections() == 1);
  connection->close_idle();
  RecordingHandler handler;
  REQUIRE(connection->perform(get(server.url("/")), handler, {}));
  CHECK(server.connections() == 2);
}

TEST_CASE("bodies end as their framing says") {
  for (const std::string& answer :
       {std::string(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: x\r\n\r\n"),
        std::string("HTTP/1.0 200 OK\r\n\r\nabcde"),
        std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde")}) {
    CAPTURE(answer);
    const RawServer server([&](Peer& peer) {
      if (peer.request()) peer.send(answer);
    });
    RecordingHandler handler;
    CurlHttp http({});
    REQUIRE(http.connect({})->perform(get(server.url("/")), handler, {}));
    CHECK(handler.body == "abcde");
    CHECK(handler.heads == 1);
  }
}

TEST_CASE("compressed bodies are delivered as they are") {
  const RawServer server(always("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b!"));
  RecordingHandler handler;
  CurlHttp http({});
  REQUIRE(http.connect({})->perform(get(server.url("/")), handler, {}));
  CHECK(handler.body == "\x1f\x8b!");
}

TEST_CASE("short bodies and closed connections are told apart from bad HTTP") {
  const auto short_body = failure_of("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
  CHECK(short_body.kind == Kind::kClosed);
  CHECK(short_body.stage == Stage::kBody);
  CHECK(failure_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc").kind == Kind::kClosed);
  const auto nothing = failure_of("");
  CHECK(nothing.kind == Kind::kClosed);
  CHECK(nothing.stage == Stage::kHeaders);
  CHECK(failure_of("HTTP/1.1 200 OK\r\nConten").kind != Kind::kAborted);

  for (const std::string& answer :
       {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("<html>"),
        std::string("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\nX: \x1b[31m\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", 27),
        "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'a') + "\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'a') + "\r\n\r\n",
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\na"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\na"),
        std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")}) {
    CAPTURE(answer.substr(0, 60));
    const auto failure = failure_of(answer);
    CHECK_MESSAGE(failure.kind == Kind::kProtocol, failure.message);
  }
}

TEST_CASE("a flood of 1xx heads is cut off at 64 KiB") {
  std::string flood;
  for (int i = 0; i < 20'000; ++i) flood += "HTTP/1.1 102 Processing\r\n\r\n";
  const auto failure = failure_of(flood);
  CHECK(failure.kind == Kind::kProtocol);
  CHECK(failure.message.find("64 KiB") != std::string::npos);
}

TEST_CASE("the handler can end a request at its head, its body and a tick") {
  const RawServer server([](Peer& peer) {
    if (peer.request()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    peer.hold();
  });
  CurlHttp http({});
  const auto ends = [&](auto change) {
    RecordingHandler handler;
    change(handler);
    const auto result = http.connect({})->perform(get(server.url("/")), handler, {});
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::kAborted);
  };
  ends([](RecordingHandler& handler) { handler.refuse_head = true; });
  ends([](RecordingHandler& handler) { handler.max_body_bytes = 2; });
  ends([](RecordingHandler& handler) { handler.max_ticks = 3; });
}

TEST_CASE("timeouts name what was waited for") {
  const RawServer silent([](Peer& peer) { peer.hold(); });
  const RawServer endless([](Peer& peer) {
    if (peer.request()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
    peer.hold();
  });
  CurlHttp http({});
  RecordingHandler handler;

  auto no_head = get(silent.url("/"));
  no_head.head_timeout = std::chrono::milliseconds(150);
  auto result = http.connect({})->perform(no_head, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kTimeout);
  CHECK(result.error().stage == Stage::kHeaders);

  auto no_handshake = get("https" + silent.url("/").substr(4));
  no_handshake.connect_timeout = std::chrono::milliseconds(150);
  result = http.connect({})->perform(no_handshake, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kTimeout);
  CHECK(result.error().stage == Stage::kTls);

  auto no_end = get(endless.url("/"));
  no_end.total_timeout = std::chrono::milliseconds(150);
  result = http.connect({})->perform(no_end, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kTotalTimeout);
  CHECK(handler.body == "abc");
}

TEST_CASE("a refused connection and an unknown name say host and stage") {
  std::uint16_t closed_port = 0;
  {
    const RawServer gone([](Peer&) {});
    closed_port = gone.port();
  }
  CurlHttp http({});
  RecordingHandler handler;
  auto result = http.connect({})->perform(get("http://127.0.0.1:" + std::to_string(closed_port) + "/x?y"), handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kConnect);
  CHECK(result.error().message == "connect to 127.0.0.1:" + std::to_string(closed_port) + ": Connection refused");

  for (const char* url : {"ftp://h/", "http://u:p@h/", "h", "http://h/ x"}) {
    CAPTURE(url);
    result = http.connect({})->perform(get(url), handler, {});
    REQUIRE_FALSE(result);
    CHECK(result.error().kind == Kind::kUnsupportedUrl);
  }
}

TEST_CASE("a connection goes on after a name that could not be resolved, and after one that could not be reached") {
  const RawServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  CurlHttp http({});
  const auto connection = http.connect({});
  RecordingHandler handler;
  for (int i = 0; i < 3; ++i) {
    // More than 63 characters between dots are no name, which no name server needs to be asked about.
    const auto unknown = connection->perform(get("http://" + std::string(64, 'a') + ".invalid/"), handler, {});
    REQUIRE_FALSE(unknown);
    CHECK_MESSAGE(unknown.error().kind == Kind::kDns, unknown.error().message);
    CHECK(unknown.error().stage == Stage::kResolve);
    REQUIRE(connection->perform(get(server.url("/")), handler, {}));
  }
}

TEST_CASE("addresses inside are refused when asked to, also on a kept connection") {
  const RawServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  CurlHttp http({});
  const auto connection = http.connect({});
  auto request = get(server.url("/"));
  request.refuse_private_addresses = true;
  RecordingHandler handler;
  auto result = connection->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kAddressRefused);
  CHECK(server.connections() == 0);

  REQUIRE(connection->perform(get(server.url("/")), handler, {}));
  result = connection->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kAddressRefused);
  CHECK(server.connections() == 1);
}

TEST_CASE("a request with a line break in a header is not sent") {
  const RawServer server(always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  CurlHttp http({});
  auto request = get(server.url("/"));
  request.headers = {{"Authorization", "Bearer a\r\nX: y"}};
  RecordingHandler handler;
  const auto result = http.connect({})->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(server.connections() == 0);
}

TEST_CASE("methods with and without a body are sent as they are") {
  class Body final : public HttpBody {
   public:
    std::uint64_t size_bytes() const override { return 5; }
    std::size_t read(std::span<std::byte> into) override {
      const std::string_view rest = std::string_view("12345").substr(at_);
      std::memcpy(into.data(), rest.data(), rest.size());
      at_ += rest.size();
      return rest.size();
    }
    bool rewind() override {
      at_ = 0;
      return true;
    }

   private:
    std::size_t at_ = 0;
  };
  std::string seen;
  const RawServer server([&](Peer& peer) {
    while (const auto request = peer.request()) {
      seen = *request;
      if (request->find("Content-Length: 5") != std::string::npos) seen += peer.read(5);
      if (!peer.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")) return;
    }
  });
  CurlHttp http({});
  const auto connection = http.connect({});
  RecordingHandler handler;
  auto request = get(server.url("/u"));
  Body body;
  for (const char* method : {"PUT", "PATCH", "POST"}) {
    CAPTURE(method);
    request.method = method;
    request.body = &body;
    REQUIRE(body.rewind());
    REQUIRE(connection->perform(request, handler, {}));
    CHECK(seen.starts_with(std::string(method) + " /u HTTP/1.1\r\n"));
    CHECK(seen.ends_with("\r\n\r\n12345"));
    CHECK(seen.find("Content-Type") == std::string::npos);
    request.body = nullptr;
    REQUIRE(connection->perform(request, handler, {}));
    CHECK(seen.starts_with(std::string(method) + " /u HTTP/1.1\r\n"));
    CHECK(seen.find("Content-Length: 0\r\n") != std::string::npos);
  }
  request.method = "HEAD";
  REQUIRE(connection->perform(request, handler, {}));
  CHECK(seen.starts_with("HEAD /u HTTP/1.1\r\n"));
  CHECK(handler.head.status == 201);
}

TEST_CASE("a proxy gets the whole URL, no token, and only hosts that it is for") {
  std::string seen;
  const RawServer proxy(always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &seen));
  NetworkEnvironment environment;
  environment.http_proxy = environment.https_proxy = "http://user:hush@127.0.0.1:" + std::to_string(proxy.port());
  environment.no_proxy = "127.0.0.1";
  CurlHttp http(environment);
  auto request = get("http://registry.example/v2/%2b?x=%2F");
  request.refuse_private_addresses = true;  // the proxy's own address is not judged
  RecordingHandler handler;
  REQUIRE(http.connect({})->perform(request, handler, {}));
  CHECK(seen.starts_with("GET http://registry.example/v2/%2b?x=%2F HTTP/1.1\r\nHost: registry.example\r\n"));
  CHECK_FALSE(handler.head.peer_is_private);

  request.url = "http://10.0.0.1/";
  auto result = http.connect({})->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kAddressRefused);
}

TEST_CASE("a proxy that refuses the tunnel never sees the token") {
  std::string seen;
  const RawServer proxy(always("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", &seen));
  NetworkEnvironment environment;
  environment.https_proxy = "http://user:hush@127.0.0.1:" + std::to_string(proxy.port());
  CurlHttp http(environment);
  auto request = get("https://registry.example/v2/");
  request.headers = {{"Authorization", "Bearer hush"}};
  RecordingHandler handler;
  const auto result = http.connect({})->perform(request, handler, {});
  REQUIRE_FALSE(result);
  CHECK(seen.starts_with("CONNECT registry.example:443 HTTP/1.1\r\n"));
  CHECK(seen.find("Bearer") == std::string::npos);
  CHECK(handler.heads == 0);
  CHECK(result.error().kind == Kind::kProxyRefused);
  CHECK(result.error().message ==
        "connect to registry.example:443 through the proxy http://127.0.0.1:" + std::to_string(proxy.port()) +
            ": the proxy wants another user or password than the daemon's environment gives "
            "it (407)");
}

TEST_CASE("a tunnel that is not to be had for now is no verdict") {
  const RawServer proxy(always("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"));
  NetworkEnvironment environment;
  environment.https_proxy = "127.0.0.1:" + std::to_string(proxy.port());
  CurlHttp http(environment);
  RecordingHandler handler;
  const auto result = http.connect({})->perform(get("https://registry.example/v2/"), handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kConnect);
  CHECK_MESSAGE(result.error().message.find("503") != std::string::npos, result.error().message);
}

TEST_CASE("a 407 is the proxy's word, also where it could be taken for the registry's") {
  const RawServer proxy(always("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"));
  NetworkEnvironment environment;
  environment.http_proxy = "http://127.0.0.1:" + std::to_string(proxy.port());
  CurlHttp http(environment);
  RecordingHandler handler;
  const auto result = http.connect({})->perform(get("http://registry.example/v2/"), handler, {});
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kProxyRefused);
  CHECK(handler.heads == 0);
}
