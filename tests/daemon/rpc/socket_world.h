#pragma once
// A server on a real socket in a folder of its own, and its clients, all driven by one io_context on the test's thread.
// Waiting means running the loop until something is so; the limit only turns a hang into a failure.

#include <doctest/doctest.h>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/server.h"
#include "proto/params.h"
#include "tests/daemon/rpc/socket_client.h"

namespace pullama::rpc::test {

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
