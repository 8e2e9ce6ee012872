// What the answers to a range may be in truth, and what of ours goes along on the way to them.

#include <doctest/doctest.h>

#include "tests/daemon/registry/blob_source_fixture.h"

using namespace pullama::registry;
using namespace pullama::testing::blob;
using pullama::testing::FakeReply;
using pullama::testing::RegistryFixture;
using Kind = Fault::Kind;

TEST_CASE("a page whose length nobody states is known by how it begins, and its place is forgotten") {
  constexpr std::uint64_t kLarge = 2 << 20;
  RegistryFixture fixture;
  auto registry = fixture.make();
  const auto source = registry.blob(fixture.model(), fixture.digest(), kLarge);
  const auto connection = registry.connect();
  Sink sink;
  fixture.http.reply(fixture.blob_url(), moved());
  fixture.http.reply(kCdn, {200, {}, "<!DOCTYPE html><html>log in</html>", false, std::nullopt, 1000});
  auto fetched = source->fetch(*connection, {0, 9}, sink, {});
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().kind == Kind::kProtocol);
  CHECK(sink.got.empty());
  CHECK(source->host() == "r.example");
  // A blob that begins so and whose length is stated is a blob.
  fixture.http.reply(fixture.blob_url(), {206,
                                          {{"Content-Range", "bytes 0-9/2097152"}, {"Content-Length", "10"}},
                                          "<html>abcd",
                                          false,
                                          std::nullopt,
                                          1000});
  REQUIRE(source->fetch(*connection, {0, 9}, sink, {}));
  CHECK(sink.got == "<html>abcd");
}

TEST_CASE("what a whole body brings before the range is told, and may end it") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content()});
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.skipped == 10);
  pull.sink.stop_after = 5;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content()});
  CHECK(pull.fault().kind == Kind::kSink);
  CHECK(pull.sink.got.empty());
}

TEST_CASE("a whole body that is cut says by how much") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content().substr(0, 60)});
  auto fault = pull.fault(0, 19);
  CHECK_MESSAGE(fault.error.message.find("it ended 40 bytes early") != std::string::npos, fault.error.message);
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content().substr(0, 5)});
  fault = pull.fault(10, 19);
  CHECK_MESSAGE(fault.error.message.find("it ended 95 bytes early") != std::string::npos, fault.error.message);
}

TEST_CASE("a host without ranges is known for the other blobs of the job") {
  Pull pull;
  pull.fixture.http.reply(pull.fixture.blob_url(), {200, {}, content()});
  REQUIRE(pull.fetch(0, 9));
  const auto other =
      pull.registry.blob(pull.fixture.model(), *pullama::Digest::parse("sha256:" + std::string(64, 'b')), 7);
  CHECK_FALSE(other->ranges_supported());
}

TEST_CASE("a place on the registry itself that wants a login gets it") {
  Pull pull;
  const std::string place = "https://r.example/data/x";
  pull.fixture.http.reply(pull.fixture.blob_url(), moved("/data/x"));
  pull.fixture.http.reply(place, pull.fixture.challenge("https://r.example/token"));
  pull.fixture.http.reply("https://r.example/token?*", pull.fixture.token("hush-1"));
  pull.fixture.http.reply(pull.fixture.blob_url(), moved("/data/x"));
  pull.fixture.http.reply(place, part(10, 19));
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.sink.got == content().substr(10, 10));
  // The token ran out meanwhile: a new one, and the place stays.
  pull.fixture.http.reply(place, pull.fixture.challenge("https://r.example/token"));
  pull.fixture.http.reply("https://r.example/token?*", pull.fixture.token("hush-2"));
  pull.fixture.http.reply(place, part(10, 19));
  REQUIRE(pull.fetch(10, 19));
  CHECK(pull.fixture.http.seen().back().header("Authorization") == "Bearer hush-2");
  // Without a challenge it is a link that has run out.
  pull.fixture.http.reply(place, {401, {}, ""});
  CHECK(pull.fault().kind == Kind::kUrlRefused);
}

TEST_CASE("nothing of ours goes along a way that left the registry, also where it leads back") {
  Pull pull;
  pull.fixture.write_docker_config("r.example");
  const FakeReply challenge{401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, ""};
  pull.fixture.http.reply(pull.fixture.blob_url(), challenge);
  for (int i = 0; i < 2; ++i) pull.fixture.http.reply(pull.fixture.blob_url(), moved("https://far.example/hop"));
  for (int i = 0; i < 2; ++i) pull.fixture.http.reply("https://far.example/hop", moved("https://r.example/back"));
  pull.fixture.http.reply("https://r.example/back", part(0, 9));
  pull.fixture.http.reply("https://r.example/back", part(10, 19));
  REQUIRE(pull.fetch(0, 9));
  REQUIRE(pull.fetch(10, 19));
  unsigned back = 0;
  for (const auto& seen : pull.fixture.http.seen()) {
    if (seen.url != "https://r.example/back") continue;
    ++back;
    CHECK(seen.header("Authorization").empty());
  }
  CHECK(back == 2);
  pull.fixture.http.reply("https://r.example/back", challenge);
  CHECK(pull.fault().kind == Kind::kUrlRefused);
}
