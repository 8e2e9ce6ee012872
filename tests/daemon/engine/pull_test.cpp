#include <doctest/doctest.h>

#include "common/size_text.h"
#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

TEST_CASE("a pull leaves the blobs, the manifest byte for byte, and nothing else") {
  PullFixture f;
  const std::string model = content(3'000'000, 1), config = "{\"model_family\":\"llama\"}";
  const std::string manifest = f.registry.add_model("ns/m", "latest", {model, content(100, 2), config});
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(summary->blob_count == 3);
  CHECK(summary->total_bytes == 3'000'100 + config.size());
  CHECK(summary->fetched_bytes == summary->total_bytes);
  CHECK(f.read(f.manifest_file()) == manifest);
  CHECK(f.names("blobs").size() == 3);
  CHECK(f.read(store::blob_path(f.registry.add_blob(model))) == model);
  CHECK(f.names(".pullm/keep").empty());
  for (const auto& name : f.names(".pullm")) CHECK_FALSE(name.ends_with(".json"));
  CHECK(f.names("manifests") == std::vector<std::string>{"mem.test"});
  CHECK(f.sink.count<engine::ManifestWritten>() == 1);
  CHECK(f.sink.count<engine::BlobFinalized>() == 3);
}

TEST_CASE("what is there already costs one request, also after a restart") {
  PullFixture f;
  f.registry.add_model("ns/m", "latest", {content(500'000, 1), "{}"});
  REQUIRE(f.pull());
  const auto before = f.registry.log().size();
  REQUIRE(f.pull());
  CHECK(f.registry.log().size() == before + 1);
  f.restart_daemon();
  const auto again = f.pull();
  REQUIRE(again);
  CHECK(again->fetched_bytes == 0);
  CHECK(f.registry.log().size() == before + 2);
}

TEST_CASE("an installed model is asked for by its own spelling") {
  PullFixture f;
  f.registry.add_model("ns/M", "Q4", {content(1000, 1), "{}"});
  f.request.model = *ModelName::parse("mem.test/ns/M:Q4");
  REQUIRE(f.pull());
  const auto before = f.registry.log().size();
  f.request.model = *ModelName::parse("MEM.test/NS/m:q4");
  REQUIRE(f.pull());
  f.request.model = *ModelName::parse("mem.test/NS/m:q4");
  REQUIRE(f.pull());
  for (auto i = before; i < f.registry.log().size(); ++i) {
    CHECK(f.registry.log()[i].path.find("/v2/ns/M/manifests/Q4") != std::string::npos);
  }
}

TEST_CASE("an empty blob is made without a request for it") {
  PullFixture f;
  f.registry.add_model("ns/m", "latest", {"", "{}"});
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  const Digest empty = f.registry.add_blob("");
  CHECK(f.read(store::blob_path(empty)).empty());
  CHECK(f.exists(store::blob_path(empty)));
}

TEST_CASE("a file with a digest's name and other bytes is set aside and fetched") {
  PullFixture f;
  const std::string model = content(200'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::filesystem::create_directories(f.path("blobs"));
  for (const std::string& wrong : {content(200'000, 9), content(10, 9)}) {
    std::ofstream(f.path(store::blob_path(digest)), std::ios::binary) << wrong;
    std::filesystem::remove(f.path(f.manifest_file()));
    REQUIRE(f.pull());
    CHECK(f.read(store::blob_path(digest)) == model);
  }
}

TEST_CASE("an unknown file with the right bytes is hashed once and not fetched") {
  PullFixture f;
  const std::string model = content(200'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::filesystem::create_directories(f.path("blobs"));
  std::ofstream(f.path(store::blob_path(digest)), std::ios::binary) << model;
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobVerifying>() == 1);
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobVerifying>() == 1);
  for (const auto& served : f.registry.log()) CHECK(served.path.find(digest.str()) == std::string::npos);
}

TEST_CASE("a stop in the middle keeps what was received, and the next run fetches only the rest") {
  PullFixture f;
  const std::string model = content(24'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  for (const std::uint64_t at : {100'000ULL, 5'000'000ULL, 12'000'000ULL, 23'000'000ULL}) {
    std::stop_source stop;
    f.registry.set_on_piece([&stop, at](std::uint64_t total) {
      if (total >= at) stop.request_stop();
    });
    const auto stopped = f.pull(stop.get_token());
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().code == ErrorCode::kCancelled);
    CHECK(f.exists(store::partial_path(digest)));
    CHECK_FALSE(f.exists(store::blob_path(digest)));
    CHECK_FALSE(f.exists(f.manifest_file()));
    f.restart_daemon();
  }
  f.registry.set_on_piece({});
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.sink.count<engine::BlobResumed>() >= 3);
  // What was handed over and not yet written when the stop came may travel twice: at most a gathered piece a
  // connection.
  const auto times = f.times_served(digest, model.size());
  const auto twice = std::count_if(times.begin(), times.end(), [](int n) { return n > 1; });
  CHECK(twice <= 4 * 16 * (320 << 10));
  CHECK(f.registry.blob_bytes_served() <= model.size() + 2 + 4 * 16 * (320 << 10));
}

TEST_CASE("a model that is not there is not found, and nothing is left behind") {
  PullFixture f;
  const auto result = f.pull();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kNotFound);
  CHECK_FALSE(f.exists("manifests/mem.test"));
}

TEST_CASE("a reset after every 100 kB loses next to nothing") {
  PullFixture f;
  const std::string model = content(20'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  f.registry.set_hook([](const testing::Request&, testing::Answer& answer) {
    if (answer.status == 206) answer.close_after = 100'000;
  });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.registry.blob_bytes_served() <= model.size() + model.size() / 50);
  CHECK(summary->retries >= 100);
}

TEST_CASE("out of retries is a network error after the right number of tries") {
  PullFixture f;
  f.registry.add_model("ns/m", "latest", {content(100'000, 1), "{}"});
  f.registry.set_hook([](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find("/blobs/") != std::string::npos) answer = testing::Answer{500, {}, "", std::nullopt, false};
  });
  f.request.max_retries = 2;
  const auto result = f.pull();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kNetwork);
}

TEST_CASE("two hours without a network are waited out when retries are unlimited") {
  PullFixture f;
  const std::string model = content(300'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  f.registry.set_hook([&f](const testing::Request&, testing::Answer& answer) {
    if (f.clock.elapsed() < std::chrono::hours(2)) answer = testing::Answer{503, {}, "", std::nullopt, false};
  });
  f.request.max_retries.reset();
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.clock.elapsed() >= std::chrono::hours(2));
}

TEST_CASE("a server without ranges is read from the start on one connection") {
  PullFixture f;
  const std::string model = content(20'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find(digest.str()) == std::string::npos) return;
    answer = testing::Answer{200, {}, model, std::nullopt, false};
  });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
}

TEST_CASE("a bit that flips on the way, once, costs the blob once more") {
  PullFixture f;
  const std::string model = content(3'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::atomic<bool> done{false};
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find(digest.str()) != std::string::npos && !answer.body.empty() && !done.exchange(true)) {
      answer.body[answer.body.size() / 2] ^= 1;
    }
  });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.sink.count<engine::BlobRestarted>() == 1);
}

TEST_CASE("a registry that always sends wrong bytes fails as corrupt and leaves no partial") {
  PullFixture f;
  const std::string model = content(300'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find(digest.str()) != std::string::npos && !answer.body.empty()) answer.body[7] ^= 1;
  });
  const auto result = f.pull();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  CHECK_FALSE(f.exists(store::partial_path(digest)));
  CHECK_FALSE(f.exists(store::checkpoint_path(digest)));
  CHECK_FALSE(f.exists(store::blob_path(digest)));
  CHECK_FALSE(f.exists(f.manifest_file()));
}

TEST_CASE("with chunksums one flipped bit costs one chunk") {
  PullFixture f;
  const std::string model = content(70 << 20, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::string sums;
  const std::size_t piece = 7 << 20;
  for (std::size_t at = 0; at < model.size(); at += piece) {
    const auto part = model.substr(at, piece);
    sums += io::sha256(std::as_bytes(std::span(part.data(), part.size()))).str() + " " + std::to_string(at) + "-" +
            std::to_string(at + part.size() - 1) + "\n";
  }
  f.registry.set_chunksums(digest, sums);
  std::atomic<bool> done{false};
  f.registry.set_hook([&](const testing::Request& request, testing::Answer& answer) {
    if (request.path.find("/blobs/" + digest.str()) == std::string::npos || answer.status != 206) return;
    const std::uint64_t at = 31 << 20;
    if (*request.first <= at && at <= *request.last && at - *request.first < answer.body.size() &&
        !done.exchange(true)) {
      answer.body[at - *request.first] ^= 1;
    }
  });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.sink.count<engine::ChunkMismatch>() == 1);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
  CHECK(f.registry.blob_bytes_served() <= model.size() + 2 + piece + 16 * (320 << 10));
}

TEST_CASE("bytes that rot in the partial between two runs are fetched again, and only they") {
  PullFixture f;
  const std::string model = content(40'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  f.request.chunk_bytes = 1 << 20;
  std::stop_source stop;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total >= 30'000'000) stop.request_stop();
  });
  REQUIRE_FALSE(f.pull(stop.get_token()));
  f.registry.set_on_piece({});
  const auto before = f.registry.blob_bytes_served();
  {
    std::fstream partial(f.path(store::partial_path(digest)), std::ios::binary | std::ios::in | std::ios::out);
    partial.seekp(1'500'000);
    partial.put(static_cast<char>(model[1'500'000] ^ 1));
  }
  f.restart_daemon();
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(digest)) == model);
  CHECK(f.sink.count<engine::ChunkMismatch>() == 1);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
  CHECK(f.registry.blob_bytes_served() - before <=
        model.size() - 30'000'000 + (1 << 20) + 16 * (320 << 10) + (1 << 20));
}

TEST_CASE("a checkpoint that does not hold is discarded with a reason, and the pull goes on from nothing") {
  PullFixture f;
  const std::string model = content(10'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::stop_source stop;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total >= 5'000'000) stop.request_stop();
  });
  REQUIRE_FALSE(f.pull(stop.get_token()));
  f.registry.set_on_piece({});
  std::fstream checkpoint(f.path(store::checkpoint_path(digest)), std::ios::in | std::ios::out);
  checkpoint.seekp(100);
  checkpoint.put('#');
  checkpoint.close();
  f.restart_daemon();
  REQUIRE(f.pull());
  CHECK(f.read(store::blob_path(digest)) == model);
  REQUIRE(f.sink.count<engine::CheckpointDiscarded>() == 1);
  CHECK(f.sink.all<engine::CheckpointDiscarded>()[0].reason == "its checksum is wrong");
}

TEST_CASE("a tag that moved between two runs is said, and what both have in common is kept") {
  PullFixture f;
  const std::string shared = content(400'000, 1);
  f.registry.add_model("ns/m", "latest", {shared, "{\"v\":1}"});
  const auto first = f.pull();
  REQUIRE(first);
  f.registry.add_model("ns/m", "latest", {shared, "{\"v\":2}"});
  f.request.manifest_before = first->manifest;
  const auto served = f.registry.blob_bytes_served();
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::ManifestChanged>() == 1);
  CHECK(f.registry.blob_bytes_served() - served == 7);
}

TEST_CASE("a disk that is too small is said before the first byte, with both figures") {
  PullFixture f;
  const std::string layer = content(100, 1);
  f.registry.add_manifest(
      "ns/m", "latest",
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","layers":[)"
      R"({"mediaType":"x","digest":")" +
          f.registry.add_blob(layer).str() + R"(","size":9000000000000000}]})");
  const auto result = f.pull();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kDiskFull);
  CHECK(result.error().message.find(format_size(9'000'000'000'000'000)) != std::string::npos);
  CHECK(f.registry.blob_bytes_served() == 0);
}

TEST_CASE("many small blobs are all there in the end") {
  PullFixture f;
  std::vector<std::string> blobs;
  for (unsigned i = 0; i < 60; ++i) blobs.push_back(content(1000 + i, i + 10));
  blobs.push_back("{}");
  f.registry.add_model("ns/m", "latest", blobs);
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.names("blobs").size() == 61);
}

TEST_CASE("a dry run says what would travel and changes nothing") {
  PullFixture f;
  const std::string model = content(500'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  engine::Pull job({f.registry, f.clock, f.credentials, f.rate}, {*f.fs, *f.ledger, f.space}, f.request, f.sink);
  const auto plan = job.plan({});
  REQUIRE_MESSAGE(plan, plan.error().message);
  CHECK(plan->total_bytes == 500'002);
  CHECK(plan->travel_bytes == 500'002);
  CHECK(plan->needed_bytes == 500'002 + engine::kSpaceReserveBytes);
  CHECK(f.registry.blob_bytes_served() == 0);
  REQUIRE(f.pull());
  CHECK(job.plan({})->travel_bytes == 0);
}

TEST_CASE("what was left to tidy when a run ended after its manifest is tidied by the next") {
  PullFixture f;
  const std::string model = content(200'000, 1);
  const std::string manifest = f.registry.add_model("ns/m", "latest", {model, "{}"});
  REQUIRE(f.pull());
  const Digest digest = f.registry.add_blob(model);
  const std::string note = ".pullm/pending/mem.test/ns/m/latest";
  std::filesystem::create_directories(std::filesystem::path(f.path(note)).parent_path());
  std::ofstream(f.path(note), std::ios::binary) << manifest;
  std::filesystem::create_hard_link(f.path(store::blob_path(digest)), f.path(store::keep_path(digest)));
  REQUIRE(f.pull());
  CHECK_FALSE(f.exists(note));
  CHECK_FALSE(f.exists(store::keep_path(digest)));
  CHECK(f.read(store::blob_path(digest)) == model);

  // Ended between the note and its folders.
  for (const char* folder : {"mem.test/ns/m", "mem.test/ns", "mem.test"}) {
    std::filesystem::create_directories(f.path(std::string(".pullm/pending/") + folder));
    REQUIRE(f.pull());
    CHECK_FALSE(f.exists(".pullm/pending"));
  }
  std::filesystem::create_directories(f.path(".pullm/pending/mem.test/other/m"));
  REQUIRE(f.pull());
  CHECK(f.exists(".pullm/pending/mem.test/other/m"));
}
