#include "daemon/registry/mirror.h"

#include <doctest/doctest.h>

#include <functional>
#include <set>

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
  bool on_tick() override {
    if (before_tick) before_tick();
    return true;
  }
  std::function<void()> before_tick;
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

TEST_CASE("a mirror that is silent from the start is passed over at once, for the other blobs too") {
  Mirrored world;
  FakeReply silent{.status = 0, .failure = Failure::kTimeout};
  silent.on_request = [&] { world.fixture.clock.advance(std::chrono::seconds(11)); };
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, silent);
  world.fixture.http.reply(world.fixture.blob_url(), part(0, 49));
  world.fixture.http.reply(world.fixture.blob_url(), part(50, 99));
  CHECK(world.fetch(0, 49));
  CHECK(world.fetch(50, 99));
  CHECK(world.at_mirror() == 1);
}

TEST_CASE("a mirror that falls silent in a blob is not asked again; its bytes stay") {
  Mirrored world;
  FakeReply half = part(0, 99);
  half.body.resize(30);
  half.ticks_after_body = 1;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, half);
  world.fixture.http.reply(world.fixture.blob_url(), part(30, 99));
  world.sink.before_tick = [&] {
    if (world.sink.got == 30) world.fixture.clock.advance(std::chrono::seconds(11));
  };
  const auto broken = world.fetch(0, 99);
  REQUIRE_FALSE(broken);
  CHECK(broken.error().kind == Fault::Kind::kSink);
  CHECK(world.fetch(30, 99));
  CHECK(world.sink.got == kSize);
  CHECK(world.at_mirror() == 1);
}

TEST_CASE("the origin's silence is the engine's affair") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, FakeReply{404, {}, "{}"});
  FakeReply slow = part(0, 99);
  slow.ticks_after_body = 1;
  slow.on_request = [&] { world.fixture.clock.advance(std::chrono::seconds(11)); };
  world.fixture.http.reply(world.fixture.blob_url(), slow);
  CHECK(world.fetch(0, 99));
}

TEST_CASE("a manifest whose blob nobody has names its mirror, and comes from the origin the next time") {
  Mirrored world;
  world.fixture.http.reply(kMirror + "/manifests/t", manifest_reply());
  world.fixture.http.reply(kMirror + "/blobs/sha256:" + kHexA, FakeReply{404, {}, "{}"});
  world.fixture.http.reply(world.fixture.blob_url(), FakeReply{404, {}, "{}"});
  world.fixture.http.reply(world.fixture.manifest_url(), manifest_reply());
  CHECK(world.manifest());
  const auto missing = world.fetch(0, 99);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().error.message.find("the manifest is that of the mirror cache.example:5000") !=
        std::string::npos);
  CHECK(world.manifest());
  CHECK(world.fixture.http.count(kMirror + "/manifests") == 1);
  CHECK(world.fixture.http.count(world.fixture.manifest_url()) == 1);
}

TEST_CASE("the user's key signs for a mirror over https:// only") {
  for (const std::string scheme : {"http", "https"}) {
    CAPTURE(scheme);
    Mirrored world;
    const std::string mirror = scheme + "://cache.example:5000";
    world.fixture.write_key();
    world.fixture.options.mirrors = *parse_mirrors(world.fixture.host + " " + mirror);
    const std::string manifest = mirror + "/v2/library/m/manifests/t";
    world.fixture.http.reply(manifest, world.fixture.challenge(mirror + "/token"));
    world.fixture.http.reply(mirror + "/token?*", RegistryFixture::token("t"));
    world.fixture.http.reply(manifest, manifest_reply());
    CHECK(world.manifest());
    CHECK(world.fixture.http.count(mirror + "/token") == 1);
    const bool is_signed = !world.fixture.http.seen().at(1).header("Authorization").empty();
    CHECK(is_signed == (scheme == "https"));
  }
}

namespace {

// Keeps how long a host is waited for.
class Patience final : public Http {
 public:
  explicit Patience(Http& http) : http_(http) {}
  std::unique_ptr<HttpConnection> connect(const HttpOptions& options) override {
    return std::make_unique<Connection>(*this, http_.connect(options));
  }
  std::set<std::pair<std::chrono::milliseconds, std::chrono::milliseconds>> seen;

 private:
  class Connection final : public HttpConnection {
   public:
    Connection(Patience& all, std::unique_ptr<HttpConnection> real) : all_(all), real_(std::move(real)) {}
    tl::expected<void, HttpFailure> perform(const HttpRequest& request, HttpHandler& handler,
                                            std::stop_token stop) override {
      all_.seen.emplace(request.connect_timeout, request.head_timeout);
      return real_->perform(request, handler, std::move(stop));
    }
    void close_idle() override { real_->close_idle(); }

   private:
    Patience& all_;
    std::unique_ptr<HttpConnection> real_;
  };
  Http& http_;
};

}  // namespace

TEST_CASE("a mirror has less time to answer than an origin") {
  Mirrored world;
  Patience http(world.fixture.http);
  Registry registry(http, world.fixture.clock, world.fixture.credentials, world.fixture.host, world.fixture.options);
  world.fixture.http.reply(kMirror + "/manifests/t", FakeReply{404, {}, "{}"});
  world.fixture.http.reply(world.fixture.manifest_url(), manifest_reply());
  CHECK(registry.fetch_manifest(*registry.connect(), world.fixture.model(), {}));
  using std::chrono::seconds;
  CHECK(http.seen == decltype(http.seen){{seconds(5), seconds(10)}, {seconds(30), seconds(30)}});
}
