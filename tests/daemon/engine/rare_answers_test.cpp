// Rows of the fault table whose waits are long, or whose answers a real server does not give by itself: with a registry
// in memory and a clock that passes by sleeping.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <thread>

#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::Answer;
using testing::content;
using testing::PullFixture;
using testing::Request;

namespace {

bool is_blob(const Request& request, const Digest& digest) {
  return request.path.find("/blobs/" + digest.str()) != std::string::npos;
}

// A model with chunksums, some of which are wrong.
struct Chunky {
  static constexpr std::size_t kPiece = 13 << 20;
  std::string bytes = content(65 << 20, 1);
  Digest digest;

  Chunky(PullFixture& f, const std::function<bool(std::size_t piece)>& wrong) : digest(f.registry.add_blob(bytes)) {
    f.registry.add_model("ns/m", "latest", {bytes, "{}"});
    std::string sums;
    for (std::size_t at = 0, piece = 0; at < bytes.size(); at += kPiece, ++piece) {
      std::string part = bytes.substr(at, kPiece);
      const std::size_t length = part.size();
      if (wrong(piece)) part += "x";
      sums += fmt::format("{} {}-{}\n", io::sha256(std::as_bytes(std::span(part.data(), part.size()))).str(), at,
                          at + length - 1);
    }
    f.registry.set_chunksums(digest, sums);
  }
};

}  // namespace

TEST_CASE("a server that sends no byte is left after thirty seconds, not before, and nothing is lost") {
  PullFixture f;
  const std::string model = content(3'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::atomic<bool> silenced{false};
  std::atomic<bool> silent{false};
  f.registry.set_hook([&](const Request& request, Answer& answer) {
    if (is_blob(request, digest) && !silenced.exchange(true)) answer.silent = silent = true;
  });
  // Silence passes no time of its own.
  std::jthread passing([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (silent && f.sink.count<engine::Retry>() == 0) f.clock.advance(std::chrono::seconds(1));
      std::this_thread::yield();
    }
  });
  f.request.connections = 1;
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.clock.elapsed() >= std::chrono::seconds(30));
  const auto retries = f.sink.all<engine::Retry>();
  REQUIRE(retries.size() == 1);
  CHECK(retries[0].reason == "mem.test sent no byte for 30 s");
  CHECK(f.registry.blob_bytes_served() == model.size() + 2);
}

TEST_CASE("Retry-After is waited for, and never longer than five minutes") {
  for (const auto& [value, seconds] : {std::pair{"120", 120}, {"300", 300}, {"86400", 300}}) {
    CAPTURE(value);
    PullFixture f;
    f.registry.add_model("ns/m", "latest", {content(100'000, 1), "{}"});
    f.registry.set_hook([&, value = value](const Request& request, Answer& answer) {
      if (request.number == 1) answer = Answer{429, {{"Retry-After", value}}, "", std::nullopt, false};
    });
    const auto summary = f.pull();
    REQUIRE_MESSAGE(summary, summary.error().message);
    CHECK(f.clock.elapsed() >= std::chrono::seconds(seconds));
    CHECK(f.clock.elapsed() < std::chrono::seconds(seconds + 60));
  }
}

TEST_CASE("a chunk whose digest in the list is wrong is fetched three times, then the blob's own digest decides") {
  PullFixture f;
  const Chunky model(f, [](std::size_t piece) { return piece == 2; });
  f.request.connections = 1;  // so that others are right before it is blamed
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(f.sink.count<engine::ChunkMismatch>() == 3);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
  CHECK(f.registry.blob_bytes_served() <= model.bytes.size() + 2 + 2 * Chunky::kPiece + (1 << 20));
}

TEST_CASE("a list that is wrong everywhere is given up after six tries of one chunk") {
  PullFixture f;
  const Chunky model(f, [](std::size_t) { return true; });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(f.sink.count<engine::ChunkMismatch>() >= 6);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
}

TEST_CASE("a 404 on a blob is final, and names digest and host") {
  PullFixture f;
  const std::string model = content(3'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  f.registry.set_hook([&](const Request& request, Answer& answer) {
    if (is_blob(request, digest)) answer = Answer{404, {}, "", std::nullopt, false};
  });
  const auto summary = f.pull();
  REQUIRE_FALSE(summary);
  CHECK(summary.error().message.find(digest.str()) != std::string::npos);
  CHECK(summary.error().message.find("mem.test") != std::string::npos);
  CHECK(f.clock.elapsed() < std::chrono::seconds(1));
  CHECK_FALSE(f.exists(f.manifest_file()));
}

TEST_CASE("408, 5xx and broken bodies are tried six times a chunk, with doubling waits") {
  for (const int status : {408, 500, 502, 504}) {
    CAPTURE(status);
    PullFixture f;
    const std::string model = content(3'000'000, 1);
    f.registry.add_model("ns/m", "latest", {model, "{}"});
    const Digest digest = f.registry.add_blob(model);
    std::atomic<unsigned> asked{0};
    f.registry.set_hook([&](const Request& request, Answer& answer) {
      if (!is_blob(request, digest)) return;
      ++asked;
      answer = Answer{status, {}, "", std::nullopt, false};
    });
    f.request.connections = 1;
    const auto summary = f.pull();
    REQUIRE_FALSE(summary);
    CHECK(summary.error().code == ErrorCode::kNetwork);
    CHECK(asked == 7);
    // 0.5 + 1 + 2 + 4 + 8 + 16 s, each a quarter shorter at the least.
    CHECK(f.clock.elapsed() >= std::chrono::seconds(23));
  }
}
