#include "daemon/rpc/server.h"

#include <sys/resource.h>

#include <filesystem>

#include "daemon/rpc/event_hub.h"
#include "daemon/rpc/outbox.h"
#include "tests/daemon/rpc/socket_world.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;
using nlohmann::json;

namespace {

struct EventWorld : SocketWorld {
  EventHub hub{io, [](const auto&) { return proto::Snapshot(); }};
  EventWorld() { hub.add_methods(dispatcher); }

  Client subscriber(const std::string& params = "{}") {
    Client client = connect();
    client.send(request(1, "events.subscribe", params));
    REQUIRE(next(client).contains("result"));
    return client;
  }
  void publish(std::size_t padding = 0) {
    proto::Event event;
    event.job = "j";
    event.body = proto::event::CheckpointDiscarded{{}, std::string(padding, 'x')};
    hub.publish(event);
  }
};

}  // namespace

TEST_CASE("an event comes after the answer that subscribed to it") {
  EventWorld world;
  world.start();
  world.publish();
  Client client = world.connect();
  client.send(request(1, "events.subscribe"));
  const json answer = world.next(client);
  CHECK(answer["id"] == 1);
  CHECK(answer["result"]["seq"] == 1);
  world.publish();
  const json event = world.next(client);
  CHECK(event["method"] == "event");
  CHECK(event["params"]["seq"] == 2);
}

TEST_CASE("promise 3: a reader that stops is dropped, and the others notice nothing") {
  EventWorld world;
  ServerConfig config;
  config.event_stall = std::chrono::milliseconds(20);
  world.start(config);
  Client stuck = world.subscriber(), reads = world.subscriber();
  constexpr std::size_t kPadding = 8000;
  std::uint64_t last = 0;
  std::size_t published_bytes = 0;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (world.server->connections() == 2) {
    REQUIRE(std::chrono::steady_clock::now() < limit);
    if (published_bytes < 4U << 20) world.publish(kPadding);
    published_bytes += kPadding;
    world.settle();
    reads.read();
    for (; !reads.lines.empty(); reads.lines.pop_front()) {
      if (reads.line(0)["params"]["seq"] != ++last) FAIL("an event is missing");
    }
  }
  CHECK(world.server->connections() == 1);
  CHECK(last == world.hub.seq());
  CHECK_FALSE(reads.ended());
  CHECK(world.hub.subscribers() == 1);

  SUBCASE("and it comes back with since and misses nothing") {
    std::uint64_t seq = 0;
    world.until([&] {
      stuck.read();
      return stuck.ended();
    });
    for (std::size_t i = 0; i < stuck.lines.size(); ++i) CHECK(stuck.line(i)["params"]["seq"] == ++seq);
    Client again = world.subscriber(R"({"since":)" + std::to_string(seq) + "}");
    world.until([&] {
      again.read();
      for (; !again.lines.empty(); again.lines.pop_front()) CHECK(again.line(0)["params"]["seq"] == ++seq);
      REQUIRE_FALSE(again.ended());
      return seq == world.hub.seq();
    });
  }
}

TEST_CASE("a burst in one turn, longer than outbox and ring, reaches every reader that reads, and a reply beside it") {
  constexpr std::size_t kBurst = 20'000;
  EventWorld world;
  ServerConfig config;
  config.event_stall = std::chrono::minutes(1);  // the second is read when the first has all
  world.start(config);
  Client reads = world.subscriber(), asks = world.subscriber();
  world.dispatcher.add_text("burst", [&](const std::string&, SessionContext&, Reply reply) {
    for (std::size_t i = 0; i < kBurst; ++i) world.publish(100);
    reply.answer("{}");
  });
  asks.send(request(2, "burst"));
  for (Client* client : {&reads, &asks}) {
    bool answered = client == &reads;
    for (std::uint64_t seq = 0; seq < kBurst || !answered;) {
      const json line = world.next(*client);
      if (line.contains("result")) {
        answered = true;
      } else if (line["params"]["seq"] != ++seq) {
        FAIL("an event is missing");
      }
    }
  }
  CHECK(world.server->connections() == 2);
  Client again = world.subscriber(R"({"since":)" + std::to_string(kBurst - EventHub::kRingEvents) + "}");
  CHECK(world.next(again)["params"]["seq"] == kBurst - EventHub::kRingEvents + 1);
}

TEST_CASE("a reader that is slow, but reads, gets its long reply whole") {
  constexpr std::size_t kBytes = 3U << 20;
  EventWorld world;
  ServerConfig config;
  config.reply_stall = std::chrono::milliseconds(200);
  world.start(config);
  Client slow = world.connect();
  slow.send(request(1, "large", R"({"bytes":)" + std::to_string(kBytes) + "}"));
  std::string got(64U << 10, '\0');
  std::size_t bytes = 0;
  auto pause = std::chrono::steady_clock::now();
  world.until([&] {  // less than what makes the socket writable, each time within the limit
    if (std::chrono::steady_clock::now() < pause) return false;
    const ssize_t count = ::recv(slow.fd(), got.data(), got.size(), MSG_DONTWAIT);
    if (count > 0) bytes += static_cast<std::size_t>(count);
    if (bytes < kBytes / 8) pause = std::chrono::steady_clock::now() + std::chrono::milliseconds(80);
    return count == 0 || bytes >= kBytes;
  });
  CHECK(bytes >= kBytes);
}

TEST_CASE("a full replay reaches a reader that reads, though it is longer than the outbox") {
  EventWorld world;
  world.start();
  for (std::size_t i = 0; i < EventHub::kRingEvents; ++i) world.publish(500);
  Client client = world.connect();
  client.send(request(1, "events.subscribe", R"({"since":0})"));
  CHECK(world.next(client)["result"]["gap"] == false);
  for (std::uint64_t seq = 1; seq <= EventHub::kRingEvents; ++seq) {
    const json event = world.next(client);
    if (event["params"]["seq"] != seq) FAIL("an event is missing");
  }
}

TEST_CASE("a subscriber that only reads keeps its half-closed connection until it goes") {
  EventWorld world;
  world.start();
  Client client = world.subscriber();
  client.half_close();
  world.settle();
  world.publish();
  CHECK(world.next(client)["params"]["seq"] == 1);
  client.leave();
  world.until([&] { return world.server->connections() == 0; });
}

TEST_CASE("promise 4: a thousand subscribers share one line, and progress is thinned for them") {
  EventWorld world;
  world.start();
  std::vector<Client> clients;
  clients.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    clients.emplace_back(world.path);
    clients.back().send(request(1, "events.subscribe"));
    world.settle();
  }
  world.until([&] { return world.hub.subscribers() == 1000; });
  for (int i = 0; i < 20; ++i) world.publish();
  for (std::uint64_t done = 0; done < 1000; ++done) {
    proto::Event sample;
    sample.job = "j";
    proto::event::BlobProgress progress;
    progress.bytes_done = done;
    sample.body = progress;
    world.hub.publish(sample);
  }
  world.settle();
  for (Client& client : clients) {
    world.until_lines(client, 22);
    if (client.lines != clients.front().lines) FAIL("subscribers were told different stories");
  }
  CHECK(clients.front().line(0)["id"] == 1);
  for (std::uint64_t seq = 1; seq <= 20; ++seq) CHECK(clients.front().line(seq)["params"]["seq"] == seq);
  CHECK(clients.front().line(21)["params"]["type"] == "blob.progress");
  CHECK(clients.front().line(21)["params"]["seq"] == 20);
}

TEST_CASE("one connection too many is told so and closed, and there is room again when one goes") {
  SocketWorld world;
  ServerConfig config;
  config.max_connections = 3;
  world.start(config);
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(world.connect());
  Client extra(world.path);
  world.until_ended(extra);
  REQUIRE(extra.lines.size() == 1);
  CHECK(extra.line(0)["id"] == nullptr);
  CHECK(extra.line(0)["error"]["code"] == -32000);
  CHECK(world.server->connections() == 3);
  clients.pop_back();
  world.until([&] { return world.server->connections() == 2; });
  Client late = world.connect();
  late.send(request(1, "echo"));
  CHECK(world.next(late)["id"] == 1);
}

TEST_CASE("a user who is not let in gets nothing but the end") {
  SocketWorld world;
  ServerConfig config;
  config.access = {{::geteuid() + 1}, {}};
  world.start(config);
  Client client(world.path);
  client.send(request(1, "note"));
  world.until_ended(client);
  CHECK(client.got_nothing());
  CHECK(world.called.empty());
}

TEST_CASE("a member of the service's group is let in") {
  SocketWorld world;
  ServerConfig config;
  config.access = {{::geteuid() + 1}, {}};
  config.group = ::getegid();
  world.start(config);
  Client client = world.connect();
  client.send(request(1, "echo"));
  CHECK(world.next(client)["id"] == 1);
}

TEST_CASE("a flood of connects that come and go leaves nothing behind") {
  SocketWorld world;
  world.start();
  for (int i = 0; i < 10'000; ++i) {
    const int fd = connect_to(world.path);
    if (fd < 0) {
      REQUIRE(errno == EAGAIN);
      world.settle();
      continue;
    }
    if (i % 2 == 0) REQUIRE(::send(fd, "{", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 0);
    ::close(fd);
    if (i % 100 == 0) world.settle();
  }
  Client client(world.path);
  client.send(request(1, "echo"));
  CHECK(world.next(client)["id"] == 1);
  world.until([&] { return world.server->connections() == 1; });
}

TEST_CASE("out of descriptors the daemon waits, and serves who came meanwhile once there are some again") {
  SocketWorld world;
  world.start();
  Client client(world.path), other(world.path);
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  rlimit none = limit;
  none.rlim_cur = static_cast<rlim_t>(other.fd());  // every descriptor below is in use or above it
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  world.settle();
  const std::size_t steps = world.io.poll();
  const std::size_t served = world.server->connections();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(served == 0);
  CHECK(steps == 0);  // it does not spin
  client.send(request(1, "echo"));
  other.send(request(2, "echo"));
  CHECK(world.next(client)["id"] == 1);
  CHECK(world.next(other)["id"] == 2);
}

TEST_CASE("a stop writes what is queued, removes the socket and closes everybody") {
  SocketWorld world;
  ServerConfig config;
  config.flush_on_stop = std::chrono::minutes(1);  // the reader needs less, even on a busy machine
  world.start(config);
  Client idle = world.connect(), client = world.connect();
  client.send(request(1, "large", R"({"bytes":3000000})"));
  world.until([&] {
    client.read();
    return !client.got_nothing();
  });
  bool stopped = false;
  world.server->stop([&] { stopped = true; });
  CHECK_FALSE(std::filesystem::exists(world.path));
  CHECK(connect_to(world.path) < 0);
  CHECK(world.next(client)["id"] == 1);
  world.until_ended(client);
  world.until_ended(idle);
  world.until([&] { return stopped; });
  CHECK(world.server->connections() == 0);
  CHECK(std::filesystem::is_empty(world.dir.path()));
}

TEST_CASE("a stop does not wait for readers that do not read or handlers that do not answer") {
  SocketWorld world;
  world.start();
  Client stuck = world.connect(), waiting = world.connect();
  stuck.send(request(1, "large", R"({"bytes":3000000})"));
  waiting.send(request(1, "later"));
  world.until([&] { return world.held.size() == 1; });
  bool stopped = false;
  world.server->stop([&] { stopped = true; });
  world.until([&] { return stopped; });
  CHECK(world.server->connections() == 0);
  world.held[0].second.answer("{}");
}

TEST_CASE("a reply given in the turn of the stop still arrives") {
  SocketWorld world;
  bool stopped = false;
  world.dispatcher.add_text("shutdown", [&](const std::string&, SessionContext&, Reply reply) {
    reply.answer("{}");
    world.server->stop([&] { stopped = true; });
  });
  ServerConfig config;
  config.flush_on_stop = std::chrono::minutes(1);
  world.start(config);
  Client client = world.connect();
  client.send(request(1, "shutdown") + request(2, "note"));
  CHECK(world.next(client)["id"] == 1);
  world.until_ended(client);
  world.until([&] { return stopped; });
  CHECK(world.called.empty());
}

TEST_CASE("a server without connections stops too, and a second stop is heard") {
  SocketWorld world;
  world.start();
  int stopped = 0;
  world.server->stop([&] { ++stopped; });
  world.server->stop([&] { ++stopped; });
  world.until([&] { return stopped == 2; });
}

TEST_CASE("a second server on a live socket does not start, and the first goes on") {
  SocketWorld world;
  world.start();
  Server second(world.io, world.dispatcher);
  ServerConfig config;
  config.endpoint = chosen(world.path);
  const auto started = second.start(config);
  REQUIRE_FALSE(started.has_value());
  CHECK(started.error().code == ErrorCode::kLocked);
  Client client = world.connect();
  client.send(request(1, "echo"));
  CHECK(world.next(client)["id"] == 1);
}

TEST_CASE("a server that is destroyed closes its clients and takes its socket along") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(request(1, "later"));
  world.until([&] { return world.held.size() == 1; });
  world.server.reset();
  world.until_ended(client);
  CHECK(std::filesystem::is_empty(world.dir.path()));
}

TEST_CASE("a server lifts the limit of open files to what its connections need") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  if (before.rlim_max < 1536) return;
  rlimit low = before;
  low.rlim_cur = 256;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  SocketWorld world;
  world.start();
  rlimit after{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &after) == 0);
  CHECK(after.rlim_cur >= 1024 + 256);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}
