#include "daemon/registry/registry.h"

#include <doctest/doctest.h>

#include "common/version.h"
#include "tests/daemon/registry/registry_fixture.h"

using namespace pullama::registry;
using pullama::ErrorCode;
using pullama::testing::FakeReply;
using pullama::testing::kHexA;
using pullama::testing::RegistryFixture;
using Kind = Fault::Kind;

namespace {

Fault manifest_fault(RegistryFixture& fixture) {
  auto registry = fixture.make();
  const auto connection = registry.connect();
  auto manifest = registry.fetch_manifest(*connection, fixture.model(), {});
  REQUIRE_FALSE(manifest);
  return manifest.error();
}

}  // namespace

TEST_CASE("a manifest is fetched anonymously and kept byte for byte") {
  RegistryFixture fixture;
  fixture.options.ca_file = "/ca.pem";
  fixture.http.reply(fixture.manifest_url(), {200, {{"Content-Type", "text/plain"}}, fixture.manifest_text()});
  auto registry = fixture.make();
  const auto connection = registry.connect();
  CHECK(fixture.http.ca_file() == "/ca.pem");
  const auto manifest = registry.fetch_manifest(*connection, fixture.model(), {});
  REQUIRE(manifest);
  CHECK(manifest->raw() == fixture.manifest_text());
  const auto seen = fixture.http.seen();
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].header("Accept") == "application/vnd.docker.distribution.manifest.v2+json");
  CHECK(seen[0].header("Accept-Encoding") == "identity");
  CHECK(seen[0].header("User-Agent") == std::string("pullama/") + pullama::kVersion);
  CHECK(seen[0].header("Authorization").empty());
  REQUIRE(fixture.traces.size() == 1);
  CHECK(fixture.traces[0].host == "r.example");
  CHECK(fixture.traces[0].path == "/v2/library/m/manifests/t");
  CHECK(fixture.traces[0].status == 200);
  CHECK(fixture.traces[0].bytes == fixture.manifest_text().size());
}

TEST_CASE("the digest that a registry states must be that of the bytes") {
  struct Row {
    std::string stated;
    bool accepted;
  };
  const auto right = pullama::manifest::Manifest::parse(RegistryFixture::manifest_text())->digest().str();
  for (const auto& row : std::vector<Row>{{right, true},
                                          {"", true},
                                          {"sha512:abc", true},
                                          {"sha256:" + kHexA, false},
                                          {"sha256-" + right.substr(7), false},
                                          {"x", false}}) {
    CAPTURE(row.stated);
    RegistryFixture fixture;
    fixture.http.reply(fixture.manifest_url(), {200, {{"docker-content-digest", row.stated}}, fixture.manifest_text()});
    auto registry = fixture.make();
    const auto manifest = registry.fetch_manifest(*registry.connect(), fixture.model(), {});
    CHECK(manifest.has_value() == row.accepted);
    if (!manifest) CHECK(manifest.error().kind == Kind::kProtocol);
  }
}

TEST_CASE("a manifest's refusals decide about retries and exit codes") {
  struct Row {
    FakeReply reply;
    Kind kind;
    ErrorCode code;
    std::string words;
  };
  const std::string oci = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})";
  for (const auto& row : std::vector<Row>{
           {{404, {}, oci}, Kind::kPermanent, ErrorCode::kNotFound, "manifest unknown"},
           {{404, {}, ""}, Kind::kPermanent, ErrorCode::kNotFound, "not found"},
           {{403, {}, R"({"error":"gated"})"}, Kind::kPermanent, ErrorCode::kAuthFailed, "gated"},
           {{400, {}, "The specified tag is not a valid quantization scheme"},
            Kind::kPermanent,
            ErrorCode::kUnsupported,
            "quantization"},
           {{429, {{"Retry-After", "7"}}, R"({"error":"rate limit"})"},
            Kind::kThrottled,
            ErrorCode::kNetwork,
            "rate limit"},
           {{503, {{"Retry-After", "9999"}}, ""}, Kind::kThrottled, ErrorCode::kNetwork, "503"},
           {{500, {}, "<html><title>Oops</title>"}, Kind::kTransient, ErrorCode::kNetwork, "Oops"},
           {{408, {}, ""}, Kind::kTransient, ErrorCode::kNetwork, "408"},
           {{204, {}, ""}, Kind::kProtocol, ErrorCode::kNetwork, "204"},
           {{418, {}, "\x1b[31mtea"}, Kind::kPermanent, ErrorCode::kNetwork, "\\x1b"},
           {{401, {}, ""}, Kind::kPermanent, ErrorCode::kAuthFailed, "no way to log in"},
           {{200, {{"Content-Encoding", "gzip"}}, "x"}, Kind::kProtocol, ErrorCode::kNetwork, "compressed"},
           {{200, {}, "<html>login</html>"}, Kind::kPermanent, ErrorCode::kCorrupt, "web page"},
           {{200, {}, R"({"errors":[{"message":"in disguise"}]})"},
            Kind::kPermanent,
            ErrorCode::kCorrupt,
            "in disguise"},
           {{200, {}, R"({"manifests":[]})"}, Kind::kPermanent, ErrorCode::kUnsupported, "index"},
           {{200, {}, ""}, Kind::kPermanent, ErrorCode::kCorrupt, "empty"},
           // Refused there: it is not read to the end that comes behind.
           {{200, {}, std::string((16 << 20) + 1, ' '), false, HttpFailure::Kind::kClosed, 1 << 20},
            Kind::kPermanent,
            ErrorCode::kCorrupt,
            "16 MiB"},
           {{302, {}, ""}, Kind::kPermanent, ErrorCode::kNetwork, "no place"},
           {{0, {}, "", false, HttpFailure::Kind::kDns}, Kind::kTransient, ErrorCode::kNetwork, ""},
           {{0, {}, "", false, HttpFailure::Kind::kCertificate}, Kind::kPermanent, ErrorCode::kNetwork, ""},
           {{0, {}, "", false, HttpFailure::Kind::kTotalTimeout}, Kind::kTimeLimit, ErrorCode::kNetwork, ""},
           {{200, {}, "{", false, HttpFailure::Kind::kClosed}, Kind::kTransient, ErrorCode::kNetwork, ""},
       }) {
    CAPTURE(row.reply.status);
    CAPTURE(row.words);
    RegistryFixture fixture;
    fixture.http.reply(fixture.manifest_url(), row.reply);
    const auto fault = manifest_fault(fixture);
    CHECK(fault.kind == row.kind);
    CHECK(fault.error.code == row.code);
    CHECK_MESSAGE(fault.error.message.find(row.words) != std::string::npos, fault.error.message);
    CHECK(fault.http_status == row.reply.status);
    CHECK(fixture.http.seen().size() == 1);
  }
}

TEST_CASE("Retry-After reaches the retry rules clamped") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), {429, {{"Retry-After", "31536000"}}, ""});
  CHECK(manifest_fault(fixture).retry_after == std::chrono::seconds(300));
}

TEST_CASE("a model that is not there is named with its registry") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), {404, {}, "file does not exist"});
  CHECK(manifest_fault(fixture).error.message ==
        "model 'r.example/library/m:t' not found at r.example: file does not exist");
}

TEST_CASE("a 412 is answered once by naming Ollama, which then stays") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), {412, {}, "requires a newer version of Ollama"});
  fixture.http.reply(fixture.manifest_url(), {200, {}, fixture.manifest_text()});
  auto registry = fixture.make();
  const auto connection = registry.connect();
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));
  const auto agent = fixture.http.seen()[1].header("User-Agent");
  CHECK(agent.starts_with("ollama/0.32.0 ("));
  CHECK(agent.ends_with(std::string(") pullama/") + pullama::kVersion));

  RegistryFixture refusing;
  refusing.http.reply(refusing.manifest_url(), {412, {}, "requires a newer version of Ollama"});
  refusing.http.reply(refusing.manifest_url(), {412, {}, "still too old"});
  const auto fault = manifest_fault(refusing);
  CHECK(fault.kind == Kind::kPermanent);
  CHECK(fault.error.message.find("still too old") != std::string::npos);
  CHECK(refusing.http.seen().size() == 2);
}

TEST_CASE("a User-Agent of one's own is sent") {
  RegistryFixture fixture;
  fixture.options.user_agent = "mine/1";
  fixture.http.reply(fixture.manifest_url(), {200, {}, fixture.manifest_text()});
  auto registry = fixture.make();
  REQUIRE(registry.fetch_manifest(*registry.connect(), fixture.model(), {}));
  CHECK(fixture.http.seen()[0].header("User-Agent") == "mine/1");
}

TEST_CASE("manifests are followed over at most ten redirects") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), {302, {{"Location", "https://a.example/0"}}, "moved"});
  for (int i = 0; i < 9; ++i) {
    fixture.http.reply("https://a.example/" + std::to_string(i), {307, {{"Location", std::to_string(i + 1)}}, ""});
  }
  fixture.http.reply("https://a.example/9", {200, {}, fixture.manifest_text()});
  auto registry = fixture.make();
  const auto connection = registry.connect();
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));

  RegistryFixture loop;
  loop.http.reply(loop.manifest_url(), {302, {{"Location", "https://a.example/x"}}, ""});
  for (int i = 0; i < 20; ++i) loop.http.reply("https://a.example/x", {302, {{"Location", "/x"}}, ""});
  const auto fault = manifest_fault(loop);
  CHECK(fault.kind == Kind::kPermanent);
  CHECK(fault.error.message.find("10 times") != std::string::npos);
  CHECK(loop.http.seen().size() == 11);
}

TEST_CASE("a redirect away from a public registry must not lead inside") {
  const auto refused_inside = [](bool insecure, bool registry_private) {
    RegistryFixture fixture("r.example", insecure);
    FakeReply moved{307, {{"Location", fixture.base() + "/elsewhere"}}, ""};
    moved.peer_is_private = registry_private;
    fixture.http.reply(fixture.manifest_url(), moved);
    fixture.http.reply(fixture.base() + "/elsewhere", {200, {}, fixture.manifest_text()});
    auto registry = fixture.make();
    CHECK(registry.fetch_manifest(*registry.connect(), fixture.model(), {}));
    CHECK_FALSE(fixture.http.seen()[0].refuse_private_addresses);
    return fixture.http.seen()[1].refuse_private_addresses;
  };
  CHECK(refused_inside(false, false));
  CHECK_FALSE(refused_inside(false, true));
  CHECK_FALSE(refused_inside(true, false));
}

TEST_CASE("a manifest that drips is given up") {
  RegistryFixture fixture;
  FakeReply drip{200, {}, "{"};
  drip.ticks_after_body = 400;
  fixture.http.reply(fixture.manifest_url(), drip);
  auto registry = fixture.make();
  const auto connection = registry.connect();
  // Each request moves the clock on by itself while it is looked at.
  class Ticking final : public HttpConnection {
   public:
    Ticking(HttpConnection& inner, pullama::testing::FakeClock& clock) : inner_(inner), clock_(clock) {}
    tl::expected<void, HttpFailure> perform(const HttpRequest& request, HttpHandler& handler,
                                            std::stop_token stop) override {
      struct Advancing final : HttpHandler {
        Advancing(HttpHandler& h, pullama::testing::FakeClock& c) : handler(h), clock(c) {}
        bool on_head(const HttpHead& head) override { return handler.on_head(head); }
        bool on_body(std::span<const std::byte> bytes) override { return handler.on_body(bytes); }
        bool on_tick() override {
          clock.advance(std::chrono::milliseconds(100));
          return handler.on_tick();
        }
        HttpHandler& handler;
        pullama::testing::FakeClock& clock;
      } advancing(handler, clock_);
      return inner_.perform(request, advancing, stop);
    }
    void close_idle() override { inner_.close_idle(); }

   private:
    HttpConnection& inner_;
    pullama::testing::FakeClock& clock_;
  } ticking(*connection, fixture.clock);
  const auto manifest = registry.fetch_manifest(ticking, fixture.model(), {});
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().kind == Kind::kTransient);
  CHECK(manifest.error().error.message.find("too slowly") != std::string::npos);
}

TEST_CASE("a host that is none fails every call by name") {
  RegistryFixture fixture;
  const auto name = fixture.model();
  Registry registry(fixture.http, fixture.clock, fixture.credentials, "h:x:y", fixture.options);
  const auto connection = registry.connect();
  const auto manifest = registry.fetch_manifest(*connection, name, {});
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().error.code == ErrorCode::kInvalidArgument);
  CHECK(manifest.error().error.message.find("h:x:y") != std::string::npos);
  CHECK_FALSE(registry.fetch_chunksums(*connection, name, fixture.digest(), 1, {}));
  CHECK(registry.blob(name, fixture.digest(), 1)->host() == "h:x:y");
  CHECK(fixture.http.seen().empty());
}

TEST_CASE("chunksums are taken where they are right, and never stop a pull") {
  const auto url = [](const RegistryFixture& fixture) {
    return fixture.base() + "/v2/library/m/chunksums/sha256:" + kHexA;
  };
  const std::string good = "sha256:" + kHexA + " 0-59\nsha256:" + kHexA + " 60-99\n";
  struct Row {
    FakeReply reply;
    std::size_t chunks;
  };
  for (const auto& row : std::vector<Row>{{{200, {{"Content-Location", "http://10.0.0.1/"}}, good}, 2},
                                          {{200, {}, good + "x"}, 0},
                                          {{200, {}, R"({"chunks":[]})"}, 0},
                                          {{200, {{"Content-Encoding", "br"}}, good}, 0},
                                          {{200, {}, good, false, HttpFailure::Kind::kClosed}, 0},
                                          {{200, {}, std::string((16 << 20) + 1, 'x'), false, {}, 1 << 20}, 0},
                                          {{404, {}, ""}, 0},
                                          {{400, {}, ""}, 0},
                                          {{403, {}, ""}, 0},
                                          {{405, {}, ""}, 0},
                                          {{501, {}, ""}, 0},
                                          {{401, {}, ""}, 0},
                                          {{503, {}, ""}, 0},
                                          {{302, {{"Location", "ftp://x/"}}, ""}, 0},
                                          {{0, {}, "", false, HttpFailure::Kind::kConnect}, 0}}) {
    CAPTURE(row.reply.status);
    RegistryFixture fixture;
    fixture.http.reply(url(fixture), row.reply);
    auto registry = fixture.make();
    const auto chunks = registry.fetch_chunksums(*registry.connect(), fixture.model(), fixture.digest(), 100, {});
    REQUIRE(chunks);
    CHECK((*chunks ? (*chunks)->size() : 0) == row.chunks);
  }
  RegistryFixture fixture;
  std::stop_source stop;
  stop.request_stop();
  auto registry = fixture.make();
  const auto stopped =
      registry.fetch_chunksums(*registry.connect(), fixture.model(), fixture.digest(), 100, stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == Kind::kStopped);
}
