#include "daemon/registry/auth.h"

#include <doctest/doctest.h>

#include <barrier>
#include <set>
#include <thread>

#include "daemon/registry/base64.h"
#include "tests/daemon/registry/registry_fixture.h"

using namespace pullama::registry;
using pullama::ErrorCode;
using pullama::testing::FakeReply;
using pullama::testing::RegistryFixture;
using Kind = Fault::Kind;

namespace {

constexpr const char* kToken = "hush-token";

Outcome<pullama::manifest::Manifest> pull_manifest(RegistryFixture& fixture) {
  auto registry = fixture.make();
  return registry.fetch_manifest(*registry.connect(), fixture.model(), {});
}

// What nobody but the registry and its token service may see.
void check_no_secrets(const Fault& fault) {
  for (const char* secret : {"hush", "Bearer", "Basic "}) {
    CHECK(fault.error.message.find(secret) == std::string::npos);
    CHECK(fault.error.hint.find(secret) == std::string::npos);
  }
}

FakeReply manifest_reply() { return {200, {}, RegistryFixture::manifest_text()}; }

}  // namespace

TEST_CASE("a challenge by the registry itself is answered with Ollama's signature") {
  RegistryFixture fixture;
  fixture.write_key();
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  const auto seen = fixture.http.seen();
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].header("Authorization").empty());
  CHECK(seen[1].url.find("nonce=") != std::string::npos);
  CHECK(seen[1].url.find("&scope=repository%3Alibrary%2Fm%3Apull&service=svc&ts=1790000000") != std::string::npos);
  const auto key = fixture.credentials.key();
  REQUIRE(key);
  CHECK(seen[1].header("Authorization") == signature_header(**key, seen[1].url));
  CHECK(seen[2].header("Authorization") == std::string("Bearer ") + kToken);
  CHECK(fixture.refreshes.empty());
  REQUIRE(fixture.traces.size() == 3);
  CHECK(fixture.traces[1].path == "/token");
}

TEST_CASE("without a key an anonymous token is asked for") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?scope=repository%3Alibrary%2Fm%3Apull&service=svc",
                     fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen()[1].header("Authorization").empty());
}

TEST_CASE("a missing or unusable key is named once it would have been needed") {
  struct Row {
    std::string content;  // of the key file; "none": there is none
    unsigned mode;
    std::string words;
  };
  for (const auto& row : std::vector<Row>{{"none", 0600, "there is no key at"},
                                          {"rubbish", 0600, "not a private key file"},
                                          {"rubbish", 0644, "chmod 600"}}) {
    CAPTURE(row.words);
    RegistryFixture fixture;
    if (row.content != "none") {
      fixture.dir.write("id_ed25519", row.content);
      std::filesystem::permissions(fixture.dir / "id_ed25519", std::filesystem::perms(row.mode));
    }
    fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
    fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
    fixture.http.reply(fixture.manifest_url(), {401, {}, R"({"error":"Invalid username or password."})"});
    const auto manifest = pull_manifest(fixture);
    REQUIRE_FALSE(manifest);
    const auto& fault = manifest.error();
    CHECK(fault.kind == Kind::kPermanent);
    CHECK(fault.error.code == ErrorCode::kAuthFailed);
    CHECK_MESSAGE(fault.error.message.find(row.words) != std::string::npos, fault.error.message);
    CHECK(fault.error.message.find(fixture.dir / "id_ed25519") != std::string::npos);
    CHECK(fault.error.message.find("Invalid username or password.") != std::string::npos);
    CHECK(fault.error.hint == "check " + (fixture.dir / "id_ed25519"));
    check_no_secrets(fault);
    CHECK(fixture.http.seen().size() == 3);
  }
}

TEST_CASE("the hint for the usual key is the one that people know") {
  CHECK(Credentials({"/usr/share/ollama/.ollama/id_ed25519", "", "ollama"}).key_hint() == "check ~/.ollama/id_ed25519");
}

TEST_CASE("a key that the token service refuses gives way to an anonymous token, and no more requests") {
  RegistryFixture fixture;
  fixture.write_key();
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?nonce*", {401, {}, "who are you"});
  fixture.http.reply("https://r.example/token?scope*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), {401, {}, "no"});
  const auto manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().error.message.find("who are you") != std::string::npos);
  CHECK(manifest.error().error.message.find("id_ed25519") != std::string::npos);
  CHECK(fixture.http.seen().size() == 4);
  check_no_secrets(manifest.error());
}

TEST_CASE("a foreign realm gets neither signature nor credentials") {
  RegistryFixture fixture;
  fixture.write_key();
  fixture.write_docker_config("r.example");
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://evil.example/token"));
  fixture.http.reply("https://evil.example/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  const auto seen = fixture.http.seen();
  CHECK(seen[1].header("Authorization").empty());
  CHECK(seen[1].url.find("nonce") == std::string::npos);
  CHECK(seen[1].refuse_private_addresses);
  CHECK(seen[2].header("Authorization") == std::string("Bearer ") + kToken);
}

TEST_CASE("a token service that the user named gets the credentials set for it") {
  RegistryFixture fixture;
  fixture.write_docker_config("auth.example");
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://auth.example/token"));
  fixture.http.reply("https://auth.example/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen()[1].header("Authorization") == RegistryFixture::basic());
}

TEST_CASE("credentials for the registry go to its own token service, before any key") {
  RegistryFixture fixture("r.example:5000", true);
  fixture.write_key();
  fixture.write_docker_config("r.example:5000");
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("http://r.example:5000/token"));
  fixture.http.reply("http://r.example:5000/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen()[1].header("Authorization") == RegistryFixture::basic());
}

TEST_CASE("a login for the registry does not go to another port of its host, one for that port does") {
  for (const bool own : {false, true}) {
    RegistryFixture fixture("r.example:5000", true);
    fixture.write_docker_config(own ? "r.example:5001" : "r.example:5000");
    fixture.http.reply(fixture.manifest_url(), fixture.challenge("http://r.example:5001/token"));
    fixture.http.reply("http://r.example:5001/token?*", fixture.token(kToken));
    fixture.http.reply(fixture.manifest_url(), manifest_reply());
    REQUIRE(pull_manifest(fixture));
    CHECK(fixture.http.seen()[1].header("Authorization") == (own ? RegistryFixture::basic() : ""));
  }
}

TEST_CASE(
    "of several challenges the first that may be followed counts, and Basic where no token service may be asked") {
  RegistryFixture fixture("r.example:5000", true);
  fixture.write_docker_config("r.example:5000");
  auto reply = fixture.challenge("http://elsewhere.example/token");
  reply.headers.push_back(fixture.challenge("http://r.example:5000/token").headers.front());
  fixture.http.reply(fixture.manifest_url(), reply);
  fixture.http.reply("http://r.example:5000/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));

  reply = fixture.challenge("http://elsewhere.example/token");
  reply.headers.push_back({"WWW-Authenticate", "Basic realm=\"x\""});
  fixture.http.reply(fixture.manifest_url(), reply);
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen().back().header("Authorization") == RegistryFixture::basic());
}

TEST_CASE("a redirect on the registry itself that wants a login gets one") {
  RegistryFixture fixture;
  for (int i = 0; i < 2; ++i) fixture.http.reply(fixture.manifest_url(), {307, {{"Location", "/real"}}, ""});
  fixture.http.reply("https://r.example/real", fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
  fixture.http.reply("https://r.example/real", manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen().back().header("Authorization") == std::string("Bearer ") + kToken);
}

TEST_CASE("realms that must not be asked are not") {
  for (const char* realm :
       {"http://r.example/token", "https://u:p@r.example/token", "http://169.254.169.254/token", "", "gopher://x"}) {
    CAPTURE(realm);
    RegistryFixture fixture;
    fixture.write_key();
    fixture.http.reply(fixture.manifest_url(), fixture.challenge(realm));
    const auto manifest = pull_manifest(fixture);
    REQUIRE_FALSE(manifest);
    CHECK(manifest.error().kind == Kind::kPermanent);
    CHECK(manifest.error().error.code == ErrorCode::kAuthFailed);
    CHECK(fixture.http.seen().size() == 1);
  }
}

TEST_CASE("what a token service may answer wrongly is named") {
  struct Row {
    FakeReply reply;
    Kind kind;
    std::string words;
  };
  for (const auto& row :
       std::vector<Row>{{{302, {{"Location", "https://evil.example/"}}, ""}, Kind::kPermanent, "redirects"},
                        {{200, {}, "{}"}, Kind::kPermanent, "no token"},
                        {{200, {}, "<html>"}, Kind::kPermanent, "not a JSON object"},
                        {{200, {}, R"({"token":"a\r\nb"})"}, Kind::kPermanent, "characters"},
                        {{200, {}, std::string((1 << 20) + 1, ' '), false, {}, 1 << 16}, Kind::kPermanent, "1 MiB"},
                        {{200, {{"Content-Encoding", "gzip"}}, "x"}, Kind::kPermanent, "compressed"},
                        {{403, {}, R"({"message":"go away"})"}, Kind::kPermanent, "go away"},
                        {{429, {{"Retry-After", "3"}}, ""}, Kind::kThrottled, "429"},
                        {{502, {}, ""}, Kind::kTransient, "502"},
                        {{0, {}, "", false, HttpFailure::Kind::kDns}, Kind::kTransient, ""}}) {
    CAPTURE(row.words);
    RegistryFixture fixture;
    fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://evil.example/token"));
    fixture.http.reply("https://evil.example/token?*", row.reply);
    const auto manifest = pull_manifest(fixture);
    REQUIRE_FALSE(manifest);
    CHECK(manifest.error().kind == row.kind);
    CHECK_MESSAGE(manifest.error().error.message.find(row.words) != std::string::npos, manifest.error().error.message);
    if (row.kind == Kind::kPermanent) CHECK(manifest.error().error.code == ErrorCode::kAuthFailed);
    CHECK(fixture.http.seen().size() == 2);
  }
}

TEST_CASE("a wrong clock is suspected where a signature is refused") {
  RegistryFixture fixture;
  fixture.clock.set_wall(std::chrono::sys_seconds(std::chrono::seconds(784'111'777)));
  fixture.write_key();
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  const FakeReply refused{401, {{"Date", "Sun, 06 Nov 1994 09:49:37 GMT"}}, "stale"};
  fixture.http.reply("https://r.example/token?nonce*", refused);
  fixture.http.reply("https://r.example/token?scope*", refused);
  const auto manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  CHECK_MESSAGE(manifest.error().error.message.find("clock is 1h0m0s behind") != std::string::npos,
                manifest.error().error.message);
}

TEST_CASE("Basic is answered from Docker's config, and a refusal is final") {
  RegistryFixture fixture("r.example:5000", true);
  const FakeReply challenge{401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, ""};
  fixture.http.reply(fixture.manifest_url(), challenge);
  auto manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().error.message.find("has none for it") != std::string::npos);
  CHECK(manifest.error().error.hint.find("docker login r.example:5000") != std::string::npos);

  fixture.write_docker_config("r.example:5000");
  fixture.http.reply(fixture.manifest_url(), challenge);
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(pull_manifest(fixture));
  CHECK(fixture.http.seen().back().header("Authorization") == RegistryFixture::basic());

  fixture.http.reply(fixture.manifest_url(), challenge);
  fixture.http.reply(fixture.manifest_url(), {401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, "wrong password"});
  manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().kind == Kind::kPermanent);
  CHECK(manifest.error().error.code == ErrorCode::kAuthFailed);
  CHECK(manifest.error().error.message.find("wrong password") != std::string::npos);
  check_no_secrets(manifest.error());
}

TEST_CASE("what a registry repeats of our secrets is not shown") {
  RegistryFixture fixture;
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), {403, {}, std::string("you sent ") + kToken});
  const auto manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  check_no_secrets(manifest.error());
  CHECK(manifest.error().error.message.find("you sent") != std::string::npos);
}

TEST_CASE("nor is what a registry or a token service repeats of a login") {
  RegistryFixture fixture("r.example:5000", true);
  fixture.write_docker_config("r.example:5000");
  const auto repeated = "you sent " + RegistryFixture::basic().substr(6) + ", that is " +
                        from_base64(RegistryFixture::basic().substr(6)).value_or("?");
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("http://r.example:5000/token"));
  fixture.http.reply("http://r.example:5000/token?*", {403, {}, repeated});
  auto manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  check_no_secrets(manifest.error());
  CHECK(manifest.error().error.message.find(RegistryFixture::basic().substr(6)) == std::string::npos);
  CHECK(manifest.error().error.message.find("you sent") != std::string::npos);

  fixture.http.reply(fixture.manifest_url(), {401, {{"WWW-Authenticate", "Basic realm=\"x\""}}, ""});
  fixture.http.reply(fixture.manifest_url(), {403, {}, repeated});
  manifest = pull_manifest(fixture);
  REQUIRE_FALSE(manifest);
  check_no_secrets(manifest.error());
  CHECK(manifest.error().error.message.find(RegistryFixture::basic().substr(6)) == std::string::npos);
}

TEST_CASE("a token is kept, replaced when it is refused, and said so") {
  RegistryFixture fixture;
  auto registry = fixture.make();
  const auto connection = registry.connect();
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token("hush-1"));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));
  CHECK(fixture.http.seen().back().header("Authorization") == "Bearer hush-1");
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token("hush-2"));
  fixture.http.reply(fixture.manifest_url(), manifest_reply());
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));
  CHECK(fixture.http.seen().back().header("Authorization") == "Bearer hush-2");
  CHECK(fixture.refreshes == std::vector<int>{1});
  CHECK(fixture.http.all_used());
}

TEST_CASE("a token is not sent where a redirect leads") {
  RegistryFixture fixture;
  auto registry = fixture.make();
  const auto connection = registry.connect();
  fixture.http.reply(fixture.manifest_url(), fixture.challenge("https://r.example/token"));
  fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
  fixture.http.reply(fixture.manifest_url(), {307, {{"Location", "https://r.example:8443/x"}}, ""});
  fixture.http.reply("https://r.example:8443/x", {307, {{"Location", "https://r.example/y"}}, ""});
  fixture.http.reply("https://r.example/y", manifest_reply());
  REQUIRE(registry.fetch_manifest(*connection, fixture.model(), {}));
  const auto seen = fixture.http.seen();
  REQUIRE(seen.size() == 5);
  CHECK(seen[3].header("Authorization").empty());
  // Not on the way back either: another host chose where that leads.
  CHECK(seen[4].header("Authorization").empty());
}

TEST_CASE("one refresh serves all connections whose token was refused") {
  constexpr int kWorkers = 6;
  RegistryFixture fixture;
  fixture.options.on_request = nullptr;
  auto registry = fixture.make();
  std::barrier all_refused(kWorkers);
  for (int i = 0; i < kWorkers; ++i) {
    auto challenge = fixture.challenge("https://r.example/token");
    challenge.on_request = [&] { all_refused.arrive_and_wait(); };
    fixture.http.reply(fixture.manifest_url(), challenge);
  }
  fixture.http.reply("https://r.example/token?*", fixture.token(kToken));
  for (int i = 0; i < kWorkers; ++i) fixture.http.reply(fixture.manifest_url(), manifest_reply());
  std::atomic<int> succeeded{0};
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < kWorkers; ++i) {
      workers.emplace_back([&] {
        const auto connection = registry.connect();
        if (registry.fetch_manifest(*connection, fixture.model(), {})) ++succeeded;
      });
    }
  }
  CHECK(succeeded == kWorkers);
  CHECK(fixture.http.count("https://r.example/token") == 1);
}
