#include <doctest/doctest.h>

#include "daemon/engine/upload_state.h"
#include "daemon/store/blob_lock.h"
#include "daemon/store/in_use.h"
#include "tests/daemon/engine/push_fixture.h"

using namespace pullama;
using testing::content;
using testing::kChunk;
using testing::PushFixture;
using testing::refusal;
using testing::Upload;
using testing::UploadAnswer;
using testing::UploadFault;

TEST_CASE("an answer that says nothing is asked again, never read as absent") {
  PushFixture f;
  const auto model = content(1000, 1);
  f.install("ns/m", {model, "{}"});
  f.up.add_blob("ns/m", f.registry.add_blob(model).str(), model);
  f.up.add_blob("ns/m", f.registry.add_blob("{}").str(), "{}");
  unsigned silent = 0;
  f.up.set_hook([&silent](const Upload& upload) {
    UploadFault fault;
    if (upload.method == "HEAD" && silent++ < 4) fault.instead = UploadAnswer{503, {}, {}};
    return fault;
  });
  REQUIRE(f.push());
  CHECK(f.up.bytes() == 0);
  CHECK(f.sink.count<engine::Retry>() == 4);
}

TEST_CASE("what a registry refuses for good ends the push with its words") {
  struct Row {
    std::string method, part;
    UploadAnswer answer;
    ErrorCode code;
    std::string words;
  };
  const std::vector<Row> rows{
      {"POST", "uploads", refusal(401, "UNAUTHORIZED"), ErrorCode::kAuthFailed, "not authorized to push to ns/m"},
      {"POST", "uploads", refusal(403, "DENIED"), ErrorCode::kAuthFailed, "not authorized to push to ns/m"},
      {"POST", "uploads", refusal(404, "NAME_UNKNOWN"), ErrorCode::kNotFound, "NAME_UNKNOWN"},
      {"POST", "uploads", refusal(405, "UNSUPPORTED"), ErrorCode::kUnsupported, "405"},
      {"PATCH", "uploads", refusal(413, "SIZE_INVALID"), ErrorCode::kNetwork, "413"},
      {"PUT", "manifests", refusal(403, "DENIED"), ErrorCode::kAuthFailed, "not authorized"},
      {"PUT", "manifests", refusal(413, "too large"), ErrorCode::kNetwork, "413"},
      {"PUT", "manifests", refusal(400, "MANIFEST_INVALID"), ErrorCode::kNetwork, "MANIFEST_INVALID"},
      {"PUT", "manifests", UploadAnswer{201, {{"Docker-Content-Digest", "sha256:" + std::string(64, '0')}}, {}},
       ErrorCode::kCorrupt, "another digest"},
      {"POST", "uploads", UploadAnswer{202, {{"Location", "ftp://elsewhere/x"}}, {}}, ErrorCode::kNetwork, "ftp"},
      {"POST", "uploads", UploadAnswer{202, {{"Location", "http://mem.test/x"}}, {}}, ErrorCode::kNetwork,
       "from https to http"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.answer.status);
    PushFixture f;
    f.install("ns/m", {content(200'000, 1), "{}"});
    f.up.set_hook([&row](const Upload& upload) {
      UploadFault fault;
      if (upload.method == row.method && upload.path.find(row.part) != std::string::npos) fault.instead = row.answer;
      return fault;
    });
    const auto result = f.push();
    REQUIRE_FALSE(result);
    CHECK(result.error().code == row.code);
    CHECK_MESSAGE(result.error().message.find(row.words) != std::string::npos, result.error().message);
    CHECK(f.sink.count<engine::Retry>() == 0);
  }
}

TEST_CASE("an upload without a place is asked for again") {
  PushFixture f;
  f.install("ns/m", {content(200'000, 1), "{}"});
  unsigned placeless = 0;
  f.up.set_hook([&placeless](const Upload& upload) {
    UploadFault fault;
    if (upload.method == "POST" && placeless++ < 2) fault.instead = UploadAnswer{202, {}, {}};
    return fault;
  });
  REQUIRE(f.push());
  CHECK(f.sink.count<engine::Retry>() == 2);
}

TEST_CASE("a blob of one byte, whose range reads like none, is pushed once") {
  PushFixture f;
  f.install("ns/m", {"x", "{}"});
  REQUIRE(f.push());
  CHECK(f.up.blob("ns/m", f.registry.add_blob("x").str()) == "x");
  CHECK(f.sink.count<engine::Retry>() == 0);
  CHECK(f.sink.count<engine::BlobRestarted>() == 0);
}

TEST_CASE("429 waits as long as the registry says, 416 asks where it stands") {
  PushFixture f;
  const auto model = content(3'000'000, 1);
  f.install("ns/m", {model, "{}"});
  unsigned faults = 0;
  int status = 429;
  SUBCASE("429") {}
  SUBCASE("416") { status = 416; }
  f.up.set_hook([&](const Upload& upload) {
    UploadFault fault;
    const bool second = upload.method == "PATCH" && upload.header("Content-Range").starts_with("1048576-");
    if (second && faults++ == 0) fault.instead = refusal(status, "NOT_NOW", {{"Retry-After", "7"}});
    return fault;
  });
  const auto summary = f.push();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.at_registry(model));
  const auto retries = f.sink.all<engine::Retry>();
  REQUIRE(retries.size() == 1);
  CHECK(retries[0].http_status == status);
  if (status == 429) CHECK(retries[0].backoff >= std::chrono::seconds(7));
  CHECK(f.requests("GET", "/blobs/uploads/") == 1);
}

TEST_CASE("a session at another host gets no Authorization") {
  PushFixture f;
  f.install("ns/m", {content(200'000, 1), "{}"});
  f.up.set_hook([](const Upload& upload) {
    UploadFault fault;
    if (upload.method == "POST") {
      fault.instead = UploadAnswer{202, {{"Location", "https://elsewhere.test/v2/ns/m/blobs/uploads/9"}}, {}};
    } else if (upload.host == "elsewhere.test") {
      fault.instead = refusal(401, "UNAUTHORIZED", {{"WWW-Authenticate", "Basic realm=\"x\""}});
    }
    return fault;
  });
  const auto result = f.push();
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("elsewhere.test") != std::string::npos);
  for (const auto& upload : f.up.log()) CHECK(upload.header("Authorization").empty());
}

TEST_CASE("a blob's lock is held while it is pushed, and waited for") {
  PushFixture f;
  const auto model = content(2'000'000, 1);
  f.install("ns/m", {model, "{}"});
  const auto digest = f.registry.add_blob(model);
  bool locked = false;
  f.up.set_on_piece([&](std::uint64_t total) {
    if (total < kChunk || locked) return;
    const auto other = store::BlobLock::try_acquire(*f.fs, digest);
    locked = other && !*other;
  });
  REQUIRE(f.push());
  CHECK(locked);
}

TEST_CASE("a push tells which blobs it needs, so that nothing here removes them") {
  PushFixture f;
  const auto model = content(2'000'000, 1);
  f.install("ns/m", {model, "{}"});
  store::InUse in_use;
  bool removable = false, looked = false;
  f.up.set_on_piece([&](std::uint64_t) {
    looked = true;
    in_use.unless_held(f.registry.add_blob(model), [&] { removable = true; });
    in_use.unless_held(f.registry.add_blob("{}"), [&] { removable = true; });
  });
  engine::Push job({f.registry, f.clock, f.credentials, f.rate}, {*f.fs, *f.ledger, f.space, &in_use}, f.push_request,
                   f.sink);
  REQUIRE(job.run({}));
  CHECK(looked);
  CHECK_FALSE(removable);
  in_use.unless_held(f.registry.add_blob(model), [&] { removable = true; });
  CHECK(removable);
}

TEST_CASE("what was begun at another registry stays, unless this push begins something") {
  PushFixture f;
  const auto model = content(300'000, 1);
  f.install("ns/m", {model, "{}"});
  std::filesystem::create_directories(f.path(".pullm"));
  const auto digest = f.registry.add_blob(model);
  const auto text = engine::format_upload_state(
      digest, model.size(), {"other.test", "ns/m", "https://other.test/u/1", 64, std::nullopt, 0, {}});
  std::ofstream(f.path(f.upload_file(model))) << text;
  SUBCASE("the blob is there") {
    f.up.add_blob("ns/m", digest.str(), model);
    REQUIRE(f.push());
    CHECK(f.read(f.upload_file(model)) == text);
  }
  SUBCASE("it is not") {
    REQUIRE(f.push());
    CHECK_FALSE(f.exists(f.upload_file(model)));
    CHECK(f.at_registry(model));
  }
  CHECK(f.sink.count<engine::CheckpointDiscarded>() == 0);
}

TEST_CASE("a kept session that leads elsewhere than a redirect may is not used") {
  PushFixture f;
  const auto model = content(300'000, 1);
  f.install("ns/m", {model, "{}"});
  std::filesystem::create_directories(f.path(".pullm"));
  const auto digest = f.registry.add_blob(model);
  engine::UploadState state{"mem.test", "ns/m", "http://mem.test/u/1", 0, std::nullopt, 100'000, {}};
  state.parts.resize(3);
  std::ofstream(f.path(f.upload_file(model))) << engine::format_upload_state(digest, model.size(), state);
  REQUIRE(f.push());
  CHECK(f.sink.count<engine::CheckpointDiscarded>() == 1);
  CHECK(f.at_registry(model));
}
