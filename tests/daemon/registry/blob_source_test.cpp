#include "daemon/registry/blob_source.h"

#include <doctest/doctest.h>

#include <barrier>
#include <thread>

#include "tests/daemon/registry/blob_source_fixture.h"

using namespace pullama::registry;
using namespace pullama::testing::blob;
using pullama::ErrorCode;
using pullama::testing::FakeReply;
using pullama::testing::kHexA;
using pullama::testing::RegistryFixture;
using Kind = Fault::Kind;

TEST_CASE("the first range finds the place, all others go there directly, byte for byte") {
  Pull pull;
  CHECK(pull.source->host() == "r.example");
  pull.fixture.http.reply(pull.fixture.blob_url(), moved());
  pull.fixture.http.reply(kCdn, part(10, 19));
  pull.fixture.http.reply(kCdn, part(0, 99));
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.got == content().substr(10, 10));
  CHECK(pull.sink.first == 10);
  CHECK(pull.source->host() == "cdn.example");
  REQUIRE(pull.fetch(0, 99));
  CHECK(pull.sink.got == content());
  const auto seen = pull.fixture.http.seen();
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].header("Range") == "bytes=10-19");
  CHECK(seen[1].url == kCdn);
  CHECK(seen[1].header("Range") == "bytes=10-19");
  CHECK(seen[1].refuse_private_addresses);
  CHECK(seen[2].url == kCdn);
  CHECK(seen[2].header("Range") == "bytes=0-99");
  CHECK(seen[2].refuse_private_addresses);
  CHECK(pull.source->ranges_supported());
  for (const auto& trace : pull.fixture.traces) CHECK(trace.path.find("hush") == std::string::npos);
  CHECK(pull.fixture.traces[2].range->last == 99);
}

TEST_CASE("a registry that serves blobs itself is asked there, with its token") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), pull.fixture.challenge("https://r.example/token"));
  pull.fixture.http.reply("https://r.example/token?*", pull.fixture.token("hush-1"));
  pull.fixture.http.reply(pull.fixture.blob_url(), part(0, 9));
  pull.fixture.http.reply(pull.fixture.blob_url(), part(10, 19));
  REQUIRE(pull.fetch(0, 9));
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.fixture.http.seen().back().header("Authorization") == "Bearer hush-1");
  CHECK(pull.fixture.refreshes.empty());

  pull.fixture.http.reply(pull.fixture.blob_url(), pull.fixture.challenge("https://r.example/token"));
  pull.fixture.http.reply("https://r.example/token?*", pull.fixture.token("hush-2"));
  pull.fixture.http.reply(pull.fixture.blob_url(), {401, {}, "no"});
  const auto fault = pull.fault();
  CHECK(fault.kind == Kind::kTokenRefused);
  CHECK(fault.error.code == ErrorCode::kAuthFailed);
  CHECK(pull.fixture.refreshes == std::vector<int>{1});
}

TEST_CASE("a server that gives less than was asked for is asked again for the rest") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), part(10, 13));
  pull.fixture.http.reply(pull.fixture.blob_url(), part(14, 19));
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.got == content().substr(10, 10));
  CHECK(pull.fixture.http.seen()[1].header("Range") == "bytes=14-19");
}

TEST_CASE("a signed URL that is refused is forgotten") {
  for (const auto& refusal :
       {FakeReply{401}, FakeReply{403, {}, "<Error><Code>AccessDenied</Code></Error>"}, FakeReply{404}, FakeReply{410},
        FakeReply{400, {}, "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code></Error>"}}) {
    CAPTURE(refusal.status);
    Pull pull;
    pull.fixture.http.reply(pull.fixture.blob_url(), moved());
    pull.fixture.http.reply(kCdn, part(0, 9));
    REQUIRE(pull.fetch(0, 9));
    pull.fixture.http.reply(kCdn, refusal);
    const auto fault = pull.fault();
    CHECK(fault.kind == Kind::kUrlRefused);
    CHECK(fault.http_status == refusal.status);
    CHECK(fault.error.message.find("cdn.example") != std::string::npos);
    CHECK(fault.error.message.find(kHexA) != std::string::npos);
    CHECK(pull.source->host() == "r.example");
    pull.fixture.http.reply(pull.fixture.blob_url(), moved("https://cdn2.example/e"));
    pull.fixture.http.reply("https://cdn2.example/e", part(10, 19));
    REQUIRE(pull.fetch(10, 19));
    CHECK(pull.source->host() == "cdn2.example");
  }
}

TEST_CASE("a refusal does not forget a place that was found meanwhile") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), moved());
  pull.fixture.http.reply(kCdn, part(0, 9));
  REQUIRE(pull.fetch(0, 9));
  FakeReply slow_refusal{403};
  slow_refusal.on_request = [&] {
    // Another connection is refused first, and finds the new place.
    Sink sink;
    const auto other = pull.registry.connect();
    CHECK_FALSE(pull.source->fetch(*other, {0, 9}, sink, {}));
    CHECK(pull.source->fetch(*other, {0, 9}, sink, {}));
  };
  pull.fixture.http.reply(kCdn, slow_refusal);
  pull.fixture.http.reply(kCdn, {403});
  pull.fixture.http.reply(pull.fixture.blob_url(), moved("https://cdn2.example/e"));
  pull.fixture.http.reply("https://cdn2.example/e", part(0, 9));
  CHECK(pull.fault().kind == Kind::kUrlRefused);
  CHECK(pull.source->host() == "cdn2.example");
}

TEST_CASE("a place on the registry's own host that was redirected to counts as signed too") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), moved("/files/x?Signature=hush"));
  pull.fixture.http.reply("https://r.example/files/x?Signature=hush", {403, {}, "expired"});
  CHECK(pull.fault().kind == Kind::kUrlRefused);
}

TEST_CASE("refusals of a blob decide about retries") {
  struct Row {
    FakeReply reply;
    Kind kind;
    ErrorCode code;
  };
  for (const auto& row :
       std::vector<Row>{{{404, {}, ""}, Kind::kPermanent, ErrorCode::kNetwork},
                        {{410, {}, ""}, Kind::kPermanent, ErrorCode::kNetwork},
                        {{403, {}, ""}, Kind::kPermanent, ErrorCode::kAuthFailed},
                        {{400, {}, ""}, Kind::kPermanent, ErrorCode::kNetwork},
                        {{416, {{"Content-Range", "bytes */100"}}, ""}, Kind::kProtocol, ErrorCode::kNetwork},
                        {{416, {{"Content-Range", "bytes */7"}}, ""}, Kind::kProtocol, ErrorCode::kNetwork},
                        {{429, {{"Retry-After", "5"}}, ""}, Kind::kThrottled, ErrorCode::kNetwork},
                        {{503, {}, ""}, Kind::kThrottled, ErrorCode::kNetwork},
                        {{500, {}, ""}, Kind::kTransient, ErrorCode::kNetwork},
                        {{408, {}, ""}, Kind::kTransient, ErrorCode::kNetwork},
                        {{204, {}, ""}, Kind::kProtocol, ErrorCode::kNetwork},
                        {{307, {{"Location", "http://cdn.example/"}}, ""}, Kind::kPermanent, ErrorCode::kNetwork},
                        {{307, {}, ""}, Kind::kPermanent, ErrorCode::kNetwork}}) {
    CAPTURE(row.reply.status);
    Pull pull;
    pull.fixture.http.reply(pull.fixture.blob_url(), row.reply);
    const auto fault = pull.fault();
    CHECK(fault.kind == row.kind);
    CHECK(fault.error.code == row.code);
    CHECK(fault.error.message.find("r.example") != std::string::npos);
  }
}

TEST_CASE("a blob that the registry lacks is named by digest and host") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), {404, {}, R"({"errors":[{"message":"blob unknown"}]})"});
  const auto fault = pull.fault();
  CHECK(fault.error.message.find("sha256:" + kHexA) != std::string::npos);
  CHECK(fault.error.message.find("blob unknown") != std::string::npos);
  CHECK(fault.error.code != ErrorCode::kNotFound);
}

TEST_CASE("bodies that are not what was asked for deliver nothing") {
  const auto body = content();
  for (const auto& reply : std::vector<FakeReply>{
           {206, {}, body},
           {206, {{"Content-Range", "bytes 0-9/100"}}, body},
           {206, {{"Content-Range", "bytes 10-20/100"}}, body},
           {206, {{"Content-Range", "bytes 10-19/99"}}, body},
           {206, {{"Content-Type", "multipart/byteranges; boundary=x"}}, body},
           {206, {{"Content-Range", "bytes 10-19/100"}, {"Content-Encoding", "gzip"}}, body},
           {206, {{"Content-Range", "bytes 10-19/100"}, {"Content-Type", "text/html"}}, body},
           {206, {{"Content-Range", "bytes 10-19/100"}, {"Content-Type", "multipart/byteranges; boundary=x"}}, body},
           {206, {{"Content-Range", "bytes 10-19/100"}, {"Content-Length", "9"}}, "<!DOCTYPE"},
           {200, {{"Content-Length", "21"}}, R"({"error":"try later"})"},
           {200, {{"Content-Type", "Text/HTML; charset=utf-8"}}, "<html>"}}) {
    Pull pull;
    pull.fixture.http.reply(pull.fixture.blob_url(), reply);
    CHECK(pull.fault().kind == Kind::kProtocol);
    CHECK(pull.sink.got.empty());
    CHECK(pull.source->host() == "r.example");
  }
}

TEST_CASE("a body longer than asked is cut off, a silent end is not waited for, a short one is a fault") {
  Pull pull;
  auto longer = part(10, 19);
  longer.body = content().substr(10);
  pull.fixture.http.reply(pull.fixture.blob_url(), longer);
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.got == content().substr(10, 10));

  auto silent = part(10, 19);
  silent.ticks_after_body = 5;
  pull.fixture.http.reply(pull.fixture.blob_url(), silent);
  REQUIRE(pull.fetch(10, 19));

  auto shorter = part(10, 19);
  shorter.body.resize(4);
  pull.fixture.http.reply(pull.fixture.blob_url(), shorter);
  CHECK(pull.fault().kind == Kind::kTransient);
  CHECK(pull.sink.got == content().substr(10, 4));

  shorter.failure = HttpFailure::Kind::kClosed;
  pull.fixture.http.reply(pull.fixture.blob_url(), shorter);
  CHECK(pull.fault().kind == Kind::kTransient);
  shorter.failure = HttpFailure::Kind::kTotalTimeout;
  pull.fixture.http.reply(pull.fixture.blob_url(), shorter);
  CHECK(pull.fault().kind == Kind::kTimeLimit);
  CHECK(pull.sink.got == content().substr(10, 4));
}

TEST_CASE("a whole body is taken from the range's first byte to the blob's end, or dropped") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content() + "beyond"});
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.whole_bodies == 1);
  CHECK(pull.sink.first == 10);
  CHECK(pull.sink.got == content().substr(10));
  CHECK_FALSE(pull.source->ranges_supported());

  pull.sink.take_whole = false;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content()});
  CHECK(pull.fault().kind == Kind::kNoRanges);
  CHECK(pull.sink.got.empty());
}

TEST_CASE("the sink can end a fetch in its bytes and on a tick") {
  Pull pull;
  pull.sink.stop_after = 5;
  pull.fixture.http.reply(pull.fixture.blob_url(), part(10, 19));
  CHECK(pull.fault().kind == Kind::kSink);
  pull.sink.ticking = false;
  pull.fixture.http.reply(pull.fixture.blob_url(), part(10, 19));
  CHECK(pull.fault().kind == Kind::kSink);
}

TEST_CASE("a stop is told apart from everything else") {
  Pull pull;
  std::stop_source stop;
  auto reply = part(10, 19);
  reply.on_request = [&] { stop.request_stop(); };
  pull.fixture.http.reply(pull.fixture.blob_url(), reply);
  const auto result = pull.source->fetch(*pull.connection, {10, 19}, pull.sink, stop.get_token());
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Kind::kStopped);
}

TEST_CASE("a range outside of the blob is not asked for") {
  Pull pull;
  CHECK(pull.fault(20, 10).kind == Kind::kPermanent);
  CHECK(pull.fault(10, 100).kind == Kind::kPermanent);
  CHECK(pull.fixture.http.seen().empty());
}

TEST_CASE("while one connection resolves, the others wait and then go straight to the place") {
  constexpr int kWorkers = 5;
  Pull pull;
  pull.fixture.options.on_request = nullptr;
  Registry registry(pull.fixture.http, pull.fixture.clock, pull.fixture.credentials, pull.fixture.host,
                    pull.fixture.options);
  const auto source = registry.blob(pull.fixture.model(), pull.fixture.digest(), kSize);
  std::barrier started(kWorkers + 1);
  auto redirect = moved();
  redirect.on_request = [&] { started.arrive_and_wait(); };
  pull.fixture.http.reply(pull.fixture.blob_url(), redirect);
  for (int i = 0; i < kWorkers; ++i) pull.fixture.http.reply(kCdn, part(0, 9));
  std::atomic<int> succeeded{0};
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < kWorkers; ++i) {
      workers.emplace_back([&, i] {
        if (i > 0) started.arrive_and_wait();
        Sink sink;
        const auto connection = registry.connect();
        if (source->fetch(*connection, {0, 9}, sink, {})) ++succeeded;
      });
    }
    started.arrive_and_wait();
  }
  CHECK(succeeded == kWorkers);
  CHECK(pull.fixture.http.count(pull.fixture.blob_url()) == 1);
}

TEST_CASE("when the connection that resolves fails, another one takes its turn") {
  Pull pull;
  FakeReply broken;
  broken.status = 0;
  broken.failure = HttpFailure::Kind::kTls;
  pull.fixture.http.reply(pull.fixture.blob_url(), broken);
  CHECK(pull.fault().kind == Kind::kTransient);
  pull.fixture.http.reply(pull.fixture.blob_url(), moved());
  pull.fixture.http.reply(kCdn, part(10, 19));
  CHECK(pull.fetch(10, 19));
}
