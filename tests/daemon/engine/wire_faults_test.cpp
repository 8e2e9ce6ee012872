// Pulls from servers that behave badly: no ranges, pages, links and tokens that are refused for ever.

#include <doctest/doctest.h>

#include <array>

#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

TEST_CASE("a resume at a server without ranges waits for what it passes over, as long as that moves") {
  PullFixture f;
  const std::string model = content(6'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::atomic<unsigned> asked{0};
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find(digest.str()) == std::string::npos) return;
    answer = testing::Answer{200, {}, model, std::nullopt, false};
    if (asked++ == 0) answer.close_after = 5'000'000;
  });
  // 64 KiB a second: what is there already takes longer to come than silence is borne.
  f.registry.set_on_piece([&](std::uint64_t) { f.clock.advance(std::chrono::seconds(1)); });
  f.request.connections = 1;
  f.request.max_retries = 2;
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(asked == 2);
}

TEST_CASE("a list of a thousand chunksums costs one chunk a flipped bit, also after a resume") {
  PullFixture f;
  const std::string model = content(66 << 20, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  constexpr std::size_t kPiece = 64 << 10;
  std::string sums;
  for (std::size_t at = 0; at < model.size(); at += kPiece) {
    const auto part = std::string_view(model).substr(at, kPiece);
    sums += io::sha256(std::as_bytes(std::span(part.data(), part.size()))).str() + " " + std::to_string(at) + "-" +
            std::to_string(at + part.size() - 1) + "\n";
  }
  f.registry.set_chunksums(digest, sums);
  std::array<std::atomic<bool>, 2> flipped{};
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find("/blobs/" + digest.str()) == std::string::npos || answer.status != 206) return;
    for (const std::size_t i : {0UL, 1UL}) {
      const std::uint64_t at = i == 0 ? 1ULL << 20 : 60ULL << 20;
      if (*request.first <= at && at <= *request.last && !flipped[i].exchange(true))
        answer.body[at - *request.first] ^= 1;
    }
  });
  std::stop_source stop;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total >= 20'000'000) stop.request_stop();
  });
  REQUIRE_FALSE(f.pull(stop.get_token()));
  f.registry.set_on_piece({});
  const auto size = std::filesystem::file_size(f.path(store::checkpoint_path(digest)));
  CHECK(size < (256U << 10));
  f.restart_daemon();
  REQUIRE(f.pull());
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
  CHECK(f.sink.count<engine::ChunkMismatch>() == 2);
}

TEST_CASE("a page that is shorter than the blob does not spoil it") {
  PullFixture f;
  const std::string model = content(3'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::atomic<unsigned> asked{0};
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find(digest.str()) == std::string::npos || asked++ > 0) return;
    answer = testing::Answer{200, {}, R"({"error":"try later"})", std::nullopt, false};
  });
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
  CHECK(f.registry.blob_bytes_served() <= model.size() + 100);
}

TEST_CASE("signed URLs that are refused for ever are asked for six times a blob, however many connections there are") {
  for (const unsigned connections : {1U, 8U}) {
    PullFixture f;
    const std::string model = content(20'000'000, 1);
    f.registry.add_model("ns/m", "latest", {model, "{}"});
    const Digest digest = f.registry.add_blob(model);
    std::atomic<unsigned> resolved{0};
    f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
      if (request.path.find(digest.str()) == std::string::npos) return;
      answer = testing::Answer{403, {}, "<Error><Code>AccessDenied</Code></Error>", std::nullopt, false};
      if (request.host != "mem.test") return;
      answer.status = 307;
      answer.headers.push_back(
          {"Location", "https://cdn.test/" + digest.str() + "?sig=hush&n=" + std::to_string(++resolved)});
    });
    f.request.connections = connections;
    const auto result = f.pull();
    REQUIRE_FALSE(result);
    CHECK(resolved >= 6);
    // Those that other connections had begun when the last refusal came.
    CHECK(resolved <= 6 + connections);
    const std::string& said = result.error().message;
    CHECK_MESSAGE(said.find("5 new URLs") != std::string::npos, said);
    CHECK_MESSAGE(said.find(digest.str()) != std::string::npos, said);
    CHECK_MESSAGE(said.find("cdn.test") != std::string::npos, said);
    CHECK_MESSAGE(said.find("hush") == std::string::npos, said);
  }
}

TEST_CASE("a blob that no token opens costs no more tokens for many connections") {
  for (const unsigned connections : {1U, 8U}) {
    PullFixture f;
    const std::string model = content(20'000'000, 1);
    f.registry.add_model("ns/m", "latest", {model, "{}"});
    const Digest digest = f.registry.add_blob(model);
    std::atomic<unsigned> tokens{0};
    f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
      if (request.path == "/token") {
        answer = testing::Answer{200, {}, R"({"token":"t)" + std::to_string(++tokens) + "\"}", std::nullopt, false};
      } else if (request.path.find(digest.str()) != std::string::npos) {
        answer = testing::Answer{401,
                                 {{"WWW-Authenticate", R"(Bearer realm="https://mem.test/token",service="s")"}},
                                 "",
                                 std::nullopt,
                                 false};
      }
    });
    f.request.connections = connections;
    const auto result = f.pull();
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kAuthFailed);
    CHECK(tokens >= 4);
    // One to begin with, three more, and those that other connections had begun when the last refusal came.
    CHECK(tokens <= 4 + connections);
  }
}
