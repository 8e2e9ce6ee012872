#include "daemon/registry/mirror.h"

#include <doctest/doctest.h>

#include "tests/daemon/registry/registry_fixture.h"

using namespace pullama::registry;
using pullama::Digest;
using pullama::testing::FakeReply;
using pullama::testing::kHexA;
using pullama::testing::RegistryFixture;
using Failure = HttpFailure::Kind;

namespace {

constexpr std::uint64_t kSize = 100;
const std::string kMirror = "https://cache.example:5000/v2/library/m";

class Sink final : public BlobSink {
 public:
  bool on_whole_body() override { return true; }
  bool on_skipped(std::uint64_t) override { return true; }
  bool on_bytes(std::uint64_t, std::span<const std::byte> bytes) override {
    if (takes) got += bytes.size();
    return takes;
  }
  bool takes = true;
  std::size_t got = 0;
};

FakeReply part(std::uint64_t first, std::uint64_t last) {
  return {206,
          {{"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/100"}},
          std::string(last - first + 1, 'x')};
}

struct Mirrored {
  Mirrored() { fixture.options.mirrors = *parse_mirrors(fixture.host + " https://cache.example:5000"); }

  // Made at the first use, after the answers were laid out.
  Registry& registry() {
    if (!made) made.emplace(fixture.http, fixture.clock, fixture.credentials, fixture.host, fixture.options);
    return *made;
  }
  Outcome<void> fetch(std::uint64_t first, std::uint64_t last) {
    if (!source) source = registry().blob(fixture.model(), fixture.digest(), kSize);
    if (!connection) connection = registry().connect();
    return source->fetch(*connection, {first, last}, sink, {});
  }
  Outcome<pullama::manifest::Manifest> manifest() {
    return registry().fetch_manifest(*registry().connect(), fixture.model(), {});
  }
  std::size_t at_mirror() const { return fixture.http.count(kMirror); }
  std::size_t at_origin() const { return fixture.http.count(fixture.base() + "/"); }

  RegistryFixture fixture;
  std::optional<Registry> made;
  std::unique_ptr<BlobSource> source;
  std::unique_ptr<HttpConnection> connection;
  Sink sink;
};

FakeReply manifest_reply() { return {200, {}, RegistryFixture::manifest_text()}; }

}  // namespace

TEST_CASE("a mirror is a host and a URL without a path") {
  const auto two = parse_mirrors("Registry.ollama.ai https://Cache:5000/, r:5000\thttp://c");
  REQUIRE(two);
  CHECK((*two)[0] == Mirror{"registry.ollama.ai", "https://cache:5000"});
  CHECK((*two)[1] == Mirror{"r:5000", "http://c"});
  CHECK(mirrors_of(*two, "REGISTRY.ollama.ai").size() == 1);
  CHECK(mirrors_of(*two, "other").empty());
  for (const char* wrong : {"r", "r ", " https://c", "r https://c more", "r ftp://c", "r https://c/path",
                            "r https://c?q", "r https://u:p@c", "r/x https://c", "u@r https://c", "r https://a b"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_mirrors(wrong));
  }
}

TEST_CASE("what a mirror has is not asked for at the origin") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/manifests/t", manifest_reply());
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 99));
  CHECK(world.manifest());
  CHECK(world.fetch(0, 99));
  CHECK(world.sink.got == kSize);
  CHECK(world.at_origin() == 0);
}

TEST_CASE("what a mirror does not have comes from the origin, and the mirror is asked for the rest") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/manifests/t", FakeReply{404, {}, "{}"});
  world.fixture.http.reply(world.fixture.manifest_url(), manifest_reply());
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 99));
  CHECK(world.manifest());
  CHECK(world.fetch(0, 99));
  CHECK(world.at_origin() == 1);
}

TEST_CASE("a mirror that cannot be reached is asked once") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/manifests/t", {.status = 0, .failure = Failure::kConnect});
  world.fixture.http.reply(world.fixture.manifest_url(), manifest_reply());
  world.fixture.http.reply(world.fixture.blob_url(), part(0, 99));
  CHECK(world.manifest());
  CHECK(world.fetch(0, 99));
  CHECK(world.at_mirror() == 1);
}

TEST_CASE("bytes that are asked for twice had the wrong digest: the origin gives them") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 49));
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(50, 99));
  world.fixture.http.reply(world.fixture.blob_url(), part(10, 39));
  CHECK(world.fetch(0, 49));
  CHECK(world.fetch(50, 99));
  CHECK(world.at_origin() == 0);
  CHECK(world.fetch(10, 39));
  CHECK(world.at_mirror() == 2);
  CHECK(world.at_origin() == 1);
}

TEST_CASE("wrong bytes are remembered by the blob's next source") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 99));
  world.fixture.http.reply(world.fixture.blob_url(), part(0, 99));
  CHECK(world.fetch(0, 99));
  world.source.reset();
  CHECK(world.fetch(0, 99));
  CHECK(world.at_mirror() == 1);
  CHECK(world.at_origin() == 1);
}

TEST_CASE("what the receiver did not take is no wrong byte") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 99));
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, part(0, 99));
  world.sink.takes = false;
  CHECK_FALSE(world.fetch(0, 99));
  world.sink.takes = true;
  CHECK(world.fetch(0, 99));
  CHECK(world.at_origin() == 0);
}

TEST_CASE("a mirror that breaks off keeps what it gave; the next range comes from the origin") {
  Mirrored world;
  FakeReply broken = part(0, 99);
  broken.body.resize(30);
  broken.failure = Failure::kClosed;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, broken);
  world.fixture.http.reply(world.fixture.blob_url(), part(30, 99));
  CHECK_FALSE(world.fetch(0, 99));
  CHECK(world.sink.got == 30);
  CHECK(world.fetch(30, 99));
  CHECK(world.sink.got == kSize);
}
