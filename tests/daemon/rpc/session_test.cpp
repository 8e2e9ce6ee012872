#include "daemon/rpc/session.h"

#include "tests/daemon/rpc/socket_world.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;
using nlohmann::json;

namespace {
constexpr std::string_view kPing = R"({"jsonrpc":"2.0","id":"ping","method":"echo","params":{}})"
                                   "\n";

std::string nested(int depth) {
  return R"({"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":)" +
         std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']') + "}}\n";
}
}  // namespace

TEST_CASE("malformed input is answered by the rules, and the connection lives or ends by them") {
  constexpr bool kLives = true, kEnds = false;
  struct Row {
    std::string input;
    int code;
    json id;
    bool lives;
  };
  const Row rows[] = {
      {"{\n", -32700, nullptr, kLives},
      {"not json\n", -32700, nullptr, kLives},
      {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"\n", -32700, nullptr, kLives},
      {"{'jsonrpc':'2.0'}\n", -32700, nullptr, kLives},
      {std::string("{\0}\n", 4), -32700, nullptr, kLives},
      {std::string(kPing.substr(0, kPing.size() - 1)) + std::string("\0garbage\n", 9), -32700, nullptr, kLives},
      {"[]\n", -32600, nullptr, kLives},
      {"[" + std::string(kPing.substr(0, kPing.size() - 1)) + "]\n", -32600, nullptr, kLives},
      {"42\n", -32600, nullptr, kLives},
      {"null\n", -32600, nullptr, kLives},
      {"\"text\"\n", -32600, nullptr, kLives},
      {"{}\n", -32600, nullptr, kLives},
      {R"({"id":3,"method":"echo"})"
       "\n",
       -32600, 3, kLives},
      {R"({"jsonrpc":"1.0","id":3,"method":"echo"})"
       "\n",
       -32600, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":7})"
       "\n",
       -32600, 3, kLives},
      {R"({"jsonrpc":"2.0","id":[],"method":"echo"})"
       "\n",
       -32600, nullptr, kLives},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"echo"})"
       "\n",
       -32600, nullptr, kLives},
      {R"({"jsonrpc":"2.0","id":3,"result":{}})"
       "\n",
       -32600, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"no.such"})"
       "\n",
       -32601, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"Echo"})"
       "\n",
       -32601, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"echo","params":[1]})"
       "\n",
       -32602, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"typed","params":{"job":3}})"
       "\n",
       -32602, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"typed"})"
       "\n",
       -32602, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"drop"})"
       "\n",
       -32000, 3, kLives},
      {R"({"jsonrpc":"2.0","id":3,"method":"throw"})"
       "\n",
       -32000, 3, kLives},
      {"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"\xff\xfe\"}\n", -32700, nullptr, kEnds},
      {"{\"a\":\"\xc0\xaf\"}\n", -32700, nullptr, kEnds},
      {"{\"a\":\"\xed\xa0\x80\"}\n", -32700, nullptr, kEnds},
      {nested(40), -32700, nullptr, kEnds},
      {std::string(100'000, '[') + "\n", -32700, nullptr, kEnds},
  };
  SocketWorld world;
  world.start();
  for (const Row& row : rows) {
    CAPTURE(row.input.substr(0, 80));
    Client client = world.connect();
    client.send(row.input);
    if (row.lives) client.send(kPing);
    const json answer = world.next(client);
    CHECK(answer["jsonrpc"] == "2.0");
    CHECK(answer["error"]["code"] == row.code);
    CHECK_FALSE(answer["error"]["message"].get<std::string>().empty());
    CHECK(answer["id"] == row.id);
    if (row.lives) {
      CHECK(world.next(client)["id"] == "ping");
    } else {
      world.until_ended(client);
      CHECK(client.lines.empty());
    }
  }
  Client after = world.connect();
  after.send(kPing);
  CHECK(world.next(after)["id"] == "ping");
}

TEST_CASE("nesting up to the limit is taken") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(nested(30));
  CHECK(world.next(client).contains("result"));
}

TEST_CASE("what follows a line that ended the connection is not executed") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(nested(40) + request(1, "note"));
  world.until_ended(client);
  client.leave();
  world.until([&] { return world.server->connections() == 0; });
  CHECK(world.called.empty());
}

TEST_CASE("an HTTP request gets the connection closed and nothing else, and its body is not executed") {
  SocketWorld world;
  world.start();
  for (const std::string head : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST /rpc HTTP/1.1\r\n\r\n",
                                 "OPTIONS * HTTP/1.1\r\n\r\n", "PUT /a HTTP/1.0\r\n\r\n", "M-SEARCH * HTTP/1.1\r\n\r\n",
                                 "get / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    CAPTURE(head);
    Client client = world.connect();
    client.send(head + request(1, "note"));
    world.until_ended(client);
    CHECK(client.got_nothing());
  }
  CHECK(world.called.empty());
}

TEST_CASE("requests arrive in bytes or in bundles and are answered alike") {
  SocketWorld world;
  world.start();
  const std::string two = request(1, "echo", R"({"a":"ü"})") + request(2, "echo");
  Client slow = world.connect(), fast = world.connect();
  for (const char byte : two) {
    slow.send({&byte, 1});
    world.settle();
  }
  fast.send(two);
  for (Client* client : {&slow, &fast}) {
    CHECK(world.next(*client)["result"]["a"] == "ü");
    CHECK(world.next(*client)["id"] == 2);
  }
}

TEST_CASE("requests run in the order in which they came, and each reply leaves when it is ready") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(request(1, "later", R"({"n":1})") + request(2, "later", R"({"n":2})") + request(3, "echo"));
  CHECK(world.next(client)["id"] == 3);
  REQUIRE(world.held.size() == 2);
  CHECK(world.held[0].first["n"] == 1);
  world.held[1].second.answer("{}");
  CHECK(world.next(client)["id"] == 2);
  world.held[0].second.error(Error{ErrorCode::kDiskFull, "no room", "make some", 0});
  const json failed = world.next(client);
  CHECK(failed["id"] == 1);
  CHECK(failed["error"]["code"] == -32000);
  CHECK(failed["error"]["data"]["kind"] == "disk_full");
  CHECK(failed["error"]["data"]["exit_code"] == 2);
  CHECK(failed["error"]["data"]["hint"] == "make some");
}

TEST_CASE("ids come back as they were sent") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  for (const std::string id : {"0", "-7", "9007199254740991", "\"\"", "\"a b\"", "null"}) {
    client.send(R"({"jsonrpc":"2.0","method":"echo","id":)" + id + "}\n");
    CHECK(world.next(client)["id"] == json::parse(id));
  }
}

TEST_CASE("a notification is executed and gets no reply, not even an error") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  for (const char* method : {"note", "no.such", "throw", "drop", "typed"}) {
    client.send(R"({"jsonrpc":"2.0","method":")" + std::string(method) + "\"}\n");
  }
  client.send("{\"jsonrpc\":\"2.0\",\"method\":\"note\",\"params\":[1]}\n");
  client.send(kPing);
  CHECK(world.next(client)["id"] == "ping");
  world.settle();
  client.read();
  CHECK(client.lines.empty());
  CHECK(world.called.size() == 1);
}

TEST_CASE("a client with 64 unanswered requests is not read from until some are answered") {
  SocketWorld world;
  world.start();
  Client client = world.connect(), other = world.connect();
  std::string many;
  for (int i = 0; i < 200; ++i) many += request(i, "later");
  client.send(many);
  world.until([&] { return world.held.size() >= Session::kMaxOutstanding; });
  world.settle();
  CHECK(world.held.size() == Session::kMaxOutstanding);
  other.send(kPing);
  CHECK(world.next(other)["id"] == "ping");
  for (std::size_t answered = 0; answered < 200; ++answered) {
    world.until([&] { return world.held.size() > answered; });
    CHECK(world.held.size() <= answered + Session::kMaxOutstanding);
    world.held[answered].second.answer("{}");
  }
  world.until_lines(client, 200);
  for (std::size_t i = 0; i < 200; ++i) CHECK(client.line(i)["id"] == i);
}

TEST_CASE("a client that pipelines without reading is paused, not dropped, and gets every reply") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  constexpr int kRequests = 500;
  const std::string params = R"({"pad":")" + std::string(4000, 'x') + "\"}";
  std::string unsent;
  for (int i = 0; i < kRequests; ++i) unsent += request(i, "echo", params);
  std::size_t offered = 0;
  for (int stuck = 0; stuck < 3;) {
    const ssize_t taken = client.offer(std::string_view(unsent).substr(offered));
    REQUIRE(taken >= 0);
    offered += static_cast<std::size_t>(taken);
    world.settle();
    stuck = taken == 0 ? stuck + 1 : 0;
  }
  CHECK(offered < unsent.size());  // nobody reads: the daemon stopped reading too
  int next = 0;
  world.until([&] {
    client.read();
    for (; !client.lines.empty(); client.lines.pop_front()) {
      if (client.line(0)["id"] != next++) FAIL("a reply is missing");
    }
    if (offered < unsent.size())
      offered += static_cast<std::size_t>(std::max<ssize_t>(0, client.offer(std::string_view(unsent).substr(offered))));
    REQUIRE_FALSE(client.ended());
    return next == kRequests;
  });
}

TEST_CASE("a line of a gigabyte is refused after the first mebibyte") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  const std::string piece(64U << 10, 'x');
  std::size_t sent = 0;
  world.until([&] {
    const ssize_t taken = client.offer(piece);
    if (taken > 0) sent += static_cast<std::size_t>(taken);
    client.read();
    return taken < 0 || sent >= 1U << 30;
  });
  CHECK(sent >= 1U << 20);
  CHECK(sent <= 32U << 20);
  REQUIRE(client.lines.size() == 1);
  CHECK(client.line(0)["error"]["code"] == -32700);
  CHECK(client.line(0)["id"] == nullptr);
}

TEST_CASE("a line may be a mebibyte long, not a byte more") {
  SocketWorld world;
  world.start();
  for (const std::size_t extra : {0U, 1U}) {
    std::string line = R"({"jsonrpc":"2.0","id":1,"method":"note","params":{"pad":""}})";
    line.insert(line.size() - 3, (1U << 20) - line.size() + extra, 'x');
    line += '\n';
    Client client = world.connect();
    std::size_t offered = 0;
    world.until([&] {
      const ssize_t taken = client.offer(std::string_view(line).substr(offered));
      REQUIRE(taken >= 0);
      offered += static_cast<std::size_t>(taken);
      return offered == line.size();
    });
    const json answer = world.next(client);
    CHECK(answer.contains("result") == (extra == 0));
    CHECK(answer.contains("error") == (extra == 1));
  }
  CHECK(world.called.size() == 1);
}

TEST_CASE("a reply may be longer than the outbox and comes whole") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(request(1, "large", R"({"bytes":5000000})") + request(2, "large", R"({"bytes":3000000})") +
              request(3, "echo"));
  CHECK(world.next(client)["result"].get<std::string>().size() == 5'000'000);
  CHECK(world.next(client)["result"].get<std::string>().size() == 3'000'000);
  CHECK(world.next(client)["id"] == 3);
}

TEST_CASE("a client that closes its sending side still gets its replies, then the end") {
  SocketWorld world;
  world.start();
  Client client = world.connect();
  client.send(request(1, "later") + request(2, "echo") + R"({"half a line)");
  client.half_close();
  CHECK(world.next(client)["id"] == 2);
  world.until([&] { return world.held.size() == 1; });
  CHECK(world.server->connections() == 1);
  world.held[0].second.answer("{}");
  CHECK(world.next(client)["id"] == 1);
  world.until_ended(client);
  CHECK(client.lines.empty());
  CHECK(world.server->connections() == 0);
}

TEST_CASE("a client that goes is noticed at once, and replies to it go nowhere") {
  SocketWorld world;
  std::vector<std::uint64_t> gone;
  world.dispatcher.add_text("watch", [&](const std::string&, SessionContext& session, Reply reply) {
    session.on_close([&gone, id = session.id()] { gone.push_back(id); });
    reply.answer("{}");
  });
  world.start();
  Client client = world.connect();
  client.send(request(1, "watch") + request(2, "later"));
  world.until([&] { return world.held.size() == 1; });
  client.leave();
  world.until([&] { return gone.size() == 1; });
  CHECK(world.server->connections() == 0);
  world.held[0].second.answer("{}");
  world.settle();
}

TEST_CASE("half lines cost only their own connections") {
  SocketWorld world;
  world.start();
  std::vector<Client> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(world.connect());
    silent.back().send(R"({"jsonrpc":"2.0","id":1,"meth)");
  }
  Client client = world.connect();
  client.send(kPing);
  CHECK(world.next(client)["id"] == "ping");
  CHECK(world.server->connections() == 201);
  silent[7].send(R"(od":"echo"})"
                 "\n");
  CHECK(world.next(silent[7])["id"] == 1);
}
