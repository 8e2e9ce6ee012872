#include "daemon/engine/push.h"

#include <doctest/doctest.h>

#include "daemon/engine/upload_parts.h"
#include "daemon/engine/upload_state.h"
#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/push_fixture.h"

using namespace pullama;
using testing::content;
using testing::kChunk;
using testing::PushFixture;
using testing::refusal;
using testing::Upload;
using testing::UploadAnswer;
using testing::UploadFault;
using testing::UploadWay;

TEST_CASE("a push brings the blobs and then the manifest, byte for byte") {
  PushFixture f;
  const auto model = content(3'500'000, 1);
  const auto manifest = f.install("ns/m", {model, content(100, 2), "", "{}"});
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.up.manifest("ns/m", "latest") == std::optional(manifest));
  CHECK(f.at_registry(model));
  CHECK(f.at_registry(""));
  CHECK(summary->fetched_bytes == 3'500'102);
  CHECK(f.up.log().back().path == "/v2/ns/m/manifests/latest");
  CHECK(f.up.log().back().header("Content-Type") == "application/vnd.docker.distribution.manifest.v2+json");
  CHECK(f.sink.count<engine::BlobFinalized>() == 4);
  const auto progress = f.sink.all<engine::BlobProgress>();
  REQUIRE_FALSE(progress.empty());
  CHECK(std::all_of(progress.begin(), progress.end(), [](const auto& sample) { return sample.up; }));
  for (const auto& name : f.names(".pullm")) CHECK_FALSE(name.starts_with("upload-"));
  for (const auto& name : f.names("blobs")) CHECK_FALSE(name.ends_with(".lock"));
  // A second time nothing travels.
  const auto before = f.up.bytes();
  REQUIRE(f.push());
  CHECK(f.up.bytes() == before);
  CHECK(f.sink.count<engine::BlobCached>() == 4);
}

TEST_CASE("a model that is not installed, or of which a blob is missing, sends nothing") {
  PushFixture f;
  auto result = f.push();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kNotFound);
  f.install("ns/m", {content(1000, 1), "{}"});
  std::filesystem::remove(f.path(store::blob_path(f.registry.add_blob(content(1000, 1)))));
  result = f.push();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  CHECK(f.up.log().empty());
}

TEST_CASE("a blob that another model of that registry has is mounted, no byte is sent") {
  PushFixture f;
  const auto model = content(500'000, 1);
  f.install("other/base", {model, "{}"});
  f.install("ns/m", {model, "{}"});
  f.up.add_blob("other/base", f.registry.add_blob(model).str(), model);
  f.up.add_blob("other/base", f.registry.add_blob("{}").str(), "{}");
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(summary->fetched_bytes == 0);
  CHECK(f.up.bytes() == 0);
  CHECK(f.requests("POST", "from=other/base") == 2);
  CHECK(f.requests("PATCH", "") == 0);
  CHECK(f.at_registry(model));
}

TEST_CASE("a mount that is refused becomes an upload") {
  PushFixture f;
  const auto model = content(500'000, 1);
  f.install("other/base", {model, "[]"});
  f.install("ns/m", {model, "{}"});
  SUBCASE("by a session") {}
  SUBCASE("by an error") {
    f.up.set_hook([](const Upload& upload) {
      if (upload.url.find("mount=") == std::string::npos) return UploadFault{};
      return UploadFault{refusal(403, "DENIED"), std::nullopt, false};
    });
  }
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
}

TEST_CASE("what a broken connection cost is asked for, and only the rest is sent") {
  PushFixture f;
  const auto model = content(5'000'000, 1);
  f.install("ns/m", {model, "{}"});
  SUBCASE("in the middle of a chunk") {
    f.up.set_hook([](const Upload& upload) {
      UploadFault fault;
      if (upload.method == "PATCH" && upload.header("Content-Range").starts_with("1048576-"))
        fault.break_after = 300'000;
      return fault;
    });
    const auto summary = f.push();
    REQUIRE_MESSAGE(summary, summary.error().message);
    // What was read for the connection and did not arrive: one piece.
    CHECK(f.up.bytes() <= model.size() + 2 + (64 << 10));
  }
  SUBCASE("and an answer that was lost") {
    bool lost = false;
    f.up.set_hook([&lost](const Upload& upload) {
      UploadFault fault;
      fault.lose_answer = upload.method == "PATCH" && !std::exchange(lost, true);
      return fault;
    });
    const auto summary = f.push();
    REQUIRE_MESSAGE(summary, summary.error().message);
    CHECK(f.up.bytes() == model.size() + 2);
  }
  SUBCASE("and the answer to the last request") {
    bool lost = false;
    f.up.set_hook([&lost](const Upload& upload) {
      UploadFault fault;
      fault.lose_answer =
          upload.method == "PUT" && upload.url.find("digest=") != std::string::npos && !std::exchange(lost, true);
      return fault;
    });
    const auto summary = f.push();
    REQUIRE_MESSAGE(summary, summary.error().message);
    CHECK(f.up.bytes() == model.size() + 2);
  }
  CHECK(f.at_registry(model));
}

TEST_CASE("after a stop, and a restart of the daemon, the registry's offset counts") {
  PushFixture f;
  const auto model = content(6'000'000, 1);
  f.install("ns/m", {model, "{}"});
  for (const std::uint64_t at : {200'000ULL, 2'500'000ULL, 5'000'000ULL}) {
    std::stop_source stop;
    f.up.set_on_piece([&stop, at](std::uint64_t total) {
      if (total >= at) stop.request_stop();
    });
    const auto stopped = f.push(stop.get_token());
    REQUIRE_FALSE(stopped);
    CHECK(stopped.error().code == ErrorCode::kCancelled);
    CHECK_FALSE(f.up.manifest("ns/m", "latest"));
    f.restart_daemon();
  }
  CHECK(f.exists(f.upload_file(model)));
  f.up.set_on_piece({});
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  CHECK(f.sink.count<engine::BlobResumed>() >= 2);
  CHECK(f.up.bytes() <= model.size() + 2 + 3 * kChunk);
  CHECK_FALSE(f.exists(f.upload_file(model)));
}

TEST_CASE("a session that the registry lost starts over, says so, and not for ever") {
  PushFixture f;
  const auto model = content(3'000'000, 1);
  f.install("ns/m", {model, "{}"});
  unsigned losses = 0, wanted = 2;
  f.up.set_hook([&](const Upload& upload) {
    UploadFault fault;
    const bool second = upload.method == "PATCH" && upload.header("Content-Range").starts_with("1048576-");
    if (second && losses < wanted) {
      ++losses;
      fault.instead = refusal(404, "BLOB_UPLOAD_UNKNOWN");
    }
    return fault;
  });
  SUBCASE("twice is borne") {
    const auto summary = f.push();
    REQUIRE_MESSAGE(summary, summary.error().message);
    CHECK(f.at_registry(model));
    CHECK(f.sink.count<engine::BlobRestarted>() == 2);
  }
  SUBCASE("three times is not") {
    wanted = 3;
    const auto result = f.push();
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kNetwork);
    CHECK(result.error().message.find("lost the upload") != std::string::npos);
  }
}

TEST_CASE("an upload state that is damaged is discarded, and that is said") {
  PushFixture f;
  const auto model = content(300'000, 1);
  f.install("ns/m", {model, "{}"});
  std::filesystem::create_directories(f.path(".pullm"));
  std::ofstream(f.path(f.upload_file(model))) << "{\"version\":1";
  REQUIRE(f.push());
  CHECK(f.sink.count<engine::CheckpointDiscarded>() == 1);
  CHECK(f.at_registry(model));
}

TEST_CASE("a file with wrong bytes is not pushed") {
  PushFixture f;
  const auto model = content(2'500'000, 1);
  f.install("ns/m", {model, "{}"});
  auto bent = model;
  bent[2'000'000] = static_cast<char>(bent[2'000'000] ^ 1);
  std::ofstream(f.path(store::blob_path(f.registry.add_blob(model))), std::ios::binary) << bent;
  SUBCASE("in chunks") {}
  SUBCASE("in parts") { f.up.set_way(UploadWay::kParts); }
  SUBCASE("directly") { f.up.set_way(UploadWay::kDirect); }
  const auto result = f.push();
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  CHECK_FALSE(f.at_registry(model));
  CHECK_FALSE(f.up.manifest("ns/m", "latest"));
}

TEST_CASE("parts at presigned URLs: several, without Authorization, and the etag of their MD5s") {
  PushFixture f;
  const auto model = content(5'000'000, 1);
  f.install("ns/m", {model, "{}"});
  f.up.set_way(UploadWay::kParts);
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  CHECK(f.up.etag().size() >= 34);
  std::vector<io::Md5Digest> parts;
  for (std::size_t at = 0; at < model.size(); at += kChunk) {
    io::Md5 hash;
    hash.update(std::as_bytes(std::span(model).subspan(at, std::min<std::size_t>(kChunk, model.size() - at))));
    parts.push_back(hash.digest());
  }
  const auto etag = "etag=" + engine::composite_etag(parts);
  CHECK(etag.ends_with("-5"));
  CHECK(f.requests("PUT", etag) == 1);
  for (const auto& upload : f.up.log()) {
    if (upload.host == "store.test") CHECK(upload.header("Authorization").empty());
    if (upload.method == "PATCH") CHECK(upload.header("X-Redirect-Uploads") == "1");
  }
}

TEST_CASE("a part whose presigned URL has expired gets another one") {
  PushFixture f;
  const auto model = content(3'000'000, 1);
  f.install("ns/m", {model, "{}"});
  f.up.set_way(UploadWay::kParts);
  unsigned refused = 0;
  f.up.set_hook([&refused](const Upload& upload) {
    UploadFault fault;
    const bool second = upload.host == "store.test" && upload.path.ends_with("/1048576");
    if (second && refused < 2) {
      ++refused;
      fault.instead = UploadAnswer{403, {}, "<Error><Code>ExpiredToken</Code></Error>"};
    }
    return fault;
  });
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  CHECK(refused == 2);
  const auto refreshes = f.sink.all<engine::Refresh>();
  CHECK(std::count_if(refreshes.begin(), refreshes.end(), [](const auto& r) { return r.url; }) == 2);
}

TEST_CASE("parts that are there do not travel again after a stop") {
  PushFixture f;
  const auto model = content(8'000'000, 1);
  f.install("ns/m", {model, "{}"});
  f.up.set_way(UploadWay::kParts);
  f.push_request.connections = 1;
  std::stop_source stop;
  f.up.set_on_piece([&stop](std::uint64_t total) {
    if (total >= 4'500'000) stop.request_stop();
  });
  REQUIRE_FALSE(f.push(stop.get_token()));
  f.up.set_on_piece({});
  f.restart_daemon();
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  CHECK(f.up.bytes() <= model.size() + 2 + kChunk);
}

TEST_CASE("a direct upload sends the signed headers and nothing that names us") {
  PushFixture f;
  const auto model = content(400'000, 1);
  f.install("ns/m", {model, "{}"});
  f.up.set_way(UploadWay::kDirect);
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  std::size_t puts = 0;
  for (const auto& upload : f.up.log()) {
    if (upload.host != "store.test") continue;
    ++puts;
    CHECK(upload.url.ends_with("/0?sig=a%2Bz"));
    CHECK(upload.header("X-Amz-Checksum-Sha256") == "c2ln");
    CHECK(upload.header("Host").empty());
    CHECK(upload.header("Authorization").empty());
  }
  CHECK(puts == 2);
}
