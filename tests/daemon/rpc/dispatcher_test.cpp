#include "daemon/rpc/dispatcher.h"

#include <doctest/doctest.h>

#include <optional>
#include <stdexcept>

#include "proto/params.h"

using namespace pullama;
using namespace pullama::rpc;

namespace {

struct NoSession : SessionContext {
  std::uint64_t id() const override { return 1; }
  const Peer& peer() const override { return nobody; }
  void on_close(std::function<void()>) override {}
  bool has_room(std::size_t) override { return true; }
  void send(Line) override {}
  void send_sample(const std::string&, Line) override {}
  void when_drained(std::function<void()>) override {}
  void hold_open(bool) override {}
  void disconnect() override {}
  Peer nobody;
};

struct Answers {
  std::vector<Reply::Outcome> all;
  Reply reply() {
    return Reply([this](Reply::Outcome outcome) { all.push_back(std::move(outcome)); });
  }
};

}  // namespace

TEST_CASE("a reply is given once") {
  Answers answers;
  {
    Reply first = answers.reply();
    Reply second = std::move(first);
    second.answer("1");
    second.answer("2");
  }
  REQUIRE(answers.all.size() == 1);
  CHECK(*answers.all[0] == "1");
}

TEST_CASE("a reply that is dropped or overwritten answers with an internal error") {
  Answers answers;
  {
    Reply first = answers.reply();
    first = answers.reply();
    CHECK(answers.all.size() == 1);
  }
  REQUIRE(answers.all.size() == 2);
  CHECK(answers.all[1].error().number == proto::kOperationFailed);
  CHECK(answers.all[1].error().error.code == ErrorCode::kInternal);
}

TEST_CASE("a Result goes out as the result or as the error that it is") {
  Answers answers;
  answers.reply()(Result<proto::Limits>(proto::Limits{5, 4, 3}));
  answers.reply()(Result<proto::Limits>(fail(ErrorCode::kNotFound, "no such job")));
  answers.reply()(Status());
  REQUIRE(answers.all.size() == 3);
  CHECK(*answers.all[0] == proto::write(proto::Limits{5, 4, 3}));
  CHECK(answers.all[1].error().number == proto::kOperationFailed);
  CHECK(answers.all[1].error().error.code == ErrorCode::kNotFound);
  CHECK(*answers.all[2] == proto::write(proto::NoResult{}));
}

TEST_CASE("a method that nobody added is not found") {
  Answers answers;
  NoSession session;
  const Dispatcher dispatcher;
  CHECK_FALSE(dispatcher.knows("no.such"));
  dispatcher.dispatch("no.such", "{}", session, answers.reply());
  REQUIRE(answers.all.size() == 1);
  CHECK(answers.all[0].error().number == proto::kMethodNotFound);
}

TEST_CASE("params that do not read never reach the handler") {
  Answers answers;
  NoSession session;
  Dispatcher dispatcher;
  int calls = 0;
  dispatcher.add<proto::JobParams>("job.get", [&](proto::JobParams params, SessionContext&, Reply reply) {
    ++calls;
    reply.answer('"' + params.job + '"');
  });
  CHECK(dispatcher.knows("job.get"));
  dispatcher.dispatch("job.get", R"({"job":"j1"})", session, answers.reply());
  dispatcher.dispatch("job.get", R"({"job":7})", session, answers.reply());
  dispatcher.dispatch("job.get", R"({})", session, answers.reply());
  dispatcher.dispatch("job.get", R"({"job":"j1","surprise":true})", session, answers.reply());
  CHECK(calls == 1);
  REQUIRE(answers.all.size() == 4);
  CHECK(*answers.all[0] == "\"j1\"");
  for (std::size_t i = 1; i < 4; ++i) CHECK(answers.all[i].error().number == proto::kInvalidParams);
}

TEST_CASE("what a handler throws becomes an internal error and is reported") {
  Answers answers;
  NoSession session;
  Dispatcher dispatcher;
  std::string reported;
  dispatcher.on_exception([&](const std::string& method, const char* what) { reported = method + ": " + what; });
  dispatcher.add_text("bad",
                      [](const std::string&, SessionContext&, const Reply&) { throw std::runtime_error("oops"); });
  dispatcher.add_text("worse", [](const std::string&, SessionContext&, const Reply&) { throw 42; });
  dispatcher.dispatch("bad", "{}", session, answers.reply());
  CHECK(reported == "bad: oops");
  dispatcher.dispatch("worse", "{}", session, answers.reply());
  REQUIRE(answers.all.size() == 2);
  for (const auto& answer : answers.all) CHECK(answer.error().error.code == ErrorCode::kInternal);
}
