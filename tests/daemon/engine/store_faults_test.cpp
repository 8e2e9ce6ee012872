// What may lie in a models dir, and what others do there while a pull runs.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

namespace {

struct StoppedPull : PullFixture {
  // Stops a pull of a model once `at` bytes of it have come.
  explicit StoppedPull(std::size_t size = 12'000'000, std::uint64_t at = 5'000'000) : model(content(size, 1)) {
    registry.add_model("ns/m", "latest", {model, "{}"});
    digest.emplace(registry.add_blob(model));
    std::stop_source stop;
    registry.set_on_piece([&](std::uint64_t total) {
      if (total >= at) stop.request_stop();
    });
    REQUIRE_FALSE(pull(stop.get_token()));
    registry.set_on_piece({});
    REQUIRE(exists(store::partial_path(*digest)));
    REQUIRE(exists(store::checkpoint_path(*digest)));
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string model;
  std::optional<Digest> digest;
};

unsigned mode_of(const std::string& path) {
  struct ::stat found {};
  REQUIRE(::stat(path.c_str(), &found) == 0);
  return found.st_mode & 07777;
}

}  // namespace

TEST_CASE("a blob that another program brought while ours rested leaves nothing of our download") {
  StoppedPull f;
  f.write(store::blob_path(*f.digest), f.model);
  REQUIRE(f.pull());
  CHECK_FALSE(f.exists(store::partial_path(*f.digest)));
  CHECK_FALSE(f.exists(store::checkpoint_path(*f.digest)));
  CHECK(f.names(".pullm/keep").empty());
}

TEST_CASE("a lock that a kill left beside a finished blob is removed, and one that is held stays") {
  PullFixture f;
  const auto model = content(300'000, 1), other = content(200'000, 2);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  REQUIRE(f.pull());
  const auto lock = store::blob_lock_path(f.registry.add_blob(model));
  const auto held = store::blob_lock_path(f.registry.add_blob("{}"));
  f.registry.add_model("ns/m", "latest", {model, other, "{}"});
  std::ofstream(f.path(lock)).close();
  const int descriptor = ::open(f.path(held).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  REQUIRE(::flock(descriptor, LOCK_EX | LOCK_NB) == 0);
  REQUIRE(f.pull());
  CHECK_FALSE(f.exists(lock));
  CHECK(f.exists(held));
  ::close(descriptor);
}

TEST_CASE("a partial that another process has locked is waited for, and what it left is taken") {
  StoppedPull f;
  const int other = ::open(f.path(store::partial_path(*f.digest)).c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::flock(other, LOCK_EX | LOCK_NB) == 0);
  std::jthread finisher([&] {
    while (f.sink.count<engine::BlobWaitingForLock>() == 0) std::this_thread::yield();
    f.write(store::blob_path(*f.digest), f.model);
    std::filesystem::rename(f.path(store::partial_path(*f.digest)), f.path("elsewhere"));
    ::close(other);
  });
  const auto before = f.registry.blob_bytes_served();
  REQUIRE(f.pull());
  CHECK(f.registry.blob_bytes_served() - before <= 2);
  CHECK(f.read(store::blob_path(*f.digest)) == f.model);
}

TEST_CASE("what lies where the manifest goes is said before a byte of a blob travels") {
  for (const int way : {0, 1, 2}) {
    PullFixture f;
    f.registry.add_model("ns/m", "latest", {content(100'000, 1), "{}"});
    std::filesystem::create_directories(f.path("manifests/mem.test/ns"));
    if (way == 0) std::filesystem::create_directories(f.path(f.manifest_file()));
    if (way == 1) std::ofstream(f.path("manifests/mem.test/ns/m")) << "no folder";
    if (way == 2) {
      std::filesystem::remove_all(f.path("manifests/mem.test"));
      std::filesystem::create_directory(f.path("elsewhere"));
      std::filesystem::create_directory_symlink(f.path("elsewhere"), f.path("manifests/mem.test"));
    }
    const auto result = f.pull();
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kPermission);
    CHECK(result.error().message.find("manifests/mem.test") != std::string::npos);
    CHECK(f.registry.blob_bytes_served() == 0);
  }
}

TEST_CASE("blobs that are there have their second name before the first byte travels") {
  PullFixture f;
  // Large ones go one after another: this one's turn comes last.
  const std::string cached = content(17 << 20, 1), other = content(17 << 20, 2);
  f.registry.add_model("ns/old", "latest", {cached, "{}"});
  f.registry.add_model("ns/m", "latest", {other, cached, "{}"});
  f.request.model = *ModelName::parse("mem.test/ns/old");
  REQUIRE(f.pull());
  f.request.model = *ModelName::parse("mem.test/ns/m");
  const Digest digest = f.registry.add_blob(cached);
  const auto before = f.registry.blob_bytes_served();
  std::atomic<bool> without{false};
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total > before && !f.exists(store::keep_path(digest))) without = true;
  });
  REQUIRE(f.pull());
  CHECK_FALSE(without);
  CHECK(f.names(".pullm/keep").empty());
}

TEST_CASE("a blob that only its owner may read is shown to Ollama's user") {
  PullFixture f;
  const std::string model = content(200'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const std::string path = f.path(store::blob_path(f.registry.add_blob(model)));
  std::filesystem::create_directories(f.path("blobs"));
  std::ofstream(path, std::ios::binary) << model;
  REQUIRE(::chmod(path.c_str(), 0600) == 0);
  REQUIRE(f.pull());
  CHECK(mode_of(path) == 0644);
  // Still known as verified.
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobVerifying>() == 1);
}

TEST_CASE("a tag that moved while a pull rested is said, whoever asks again") {
  StoppedPull f;
  f.restart_daemon();
  f.registry.add_model("ns/m", "latest", {f.model, "{\"v\":2}"});
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::ManifestChanged>() == 1);
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::ManifestChanged>() == 1);
}

TEST_CASE("a stray partial does not keep Ollama's download from being taken over, nor does a torn part of it") {
  StoppedPull f;
  std::filesystem::remove(f.path(store::checkpoint_path(*f.digest)));
  std::string data = f.model.substr(0, 8'000'000);
  f.write(store::ollama_partial_path(*f.digest), data);
  f.write(store::ollama_part_path(*f.digest, 0), R"({"N":0,"Offset":0,"Size":6000000,"Completed":6000000})");
  f.write(store::ollama_part_path(*f.digest, 1), "");
  f.write(store::ollama_part_path(*f.digest, 2), R"({"N":2,"Offset":7000000,"Size":50000)");
  const auto before = f.registry.blob_bytes_served();
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobAdopted>() == 1);
  CHECK(f.registry.blob_bytes_served() - before <= f.model.size() - 6'000'000 + 2);
  CHECK(f.names("blobs").size() == 2);
}

TEST_CASE("what lies in .pullm in the place of our files is set aside") {
  StoppedPull f;
  const auto folder = [&](const std::string& name) {
    std::filesystem::remove_all(f.path(name));
    std::filesystem::create_directories(f.path(name + "/inside"));
  };
  SUBCASE("a folder as checkpoint") { folder(store::checkpoint_path(*f.digest)); }
  SUBCASE("a folder as link") { folder(store::keep_path(*f.digest)); }
  SUBCASE("a folder as note") { folder(".pullm/pending/mem.test/ns/m/latest"); }
  SUBCASE("a file above the note") {
    std::filesystem::remove_all(f.path(".pullm/pending/mem.test"));
    f.write(".pullm/pending/mem.test", "no folder");
  }
  SUBCASE("a FIFO as note") {
    const std::string path = f.path(".pullm/pending/mem.test/ns/m/latest");
    std::filesystem::remove(path);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  }
  SUBCASE("a file as keep") {
    std::filesystem::remove_all(f.path(".pullm/keep"));
    f.write(".pullm/keep", "no folder");
  }
  const auto result = f.pull();
  REQUIRE_MESSAGE(result, result.error().message);
  CHECK(f.read(store::blob_path(*f.digest)) == f.model);
  CHECK(f.exists(f.manifest_file()));
}

TEST_CASE("a .pullm that is removed under a pull is made again") {
  PullFixture f;
  const std::string model = content(30'000'000, 1);
  f.registry.add_model("ns/m", "latest", {model, "{}"});
  const Digest digest = f.registry.add_blob(model);
  std::stop_source stop;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total < 5'000'000 || stop.stop_requested()) return;
    std::error_code others_at_work;
    std::filesystem::remove_all(f.path(".pullm"), others_at_work);
    stop.request_stop();
  });
  const auto stopped = f.pull(stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK_MESSAGE(stopped.error().code == ErrorCode::kCancelled, stopped.error().message);
  CHECK(f.exists(store::checkpoint_path(digest)));
  f.registry.set_on_piece({});
  const auto result = f.pull();
  REQUIRE_MESSAGE(result, result.error().message);
  // The small blob may have rested between its last byte and its name: then it goes on as well.
  const auto resumed = f.sink.all<engine::BlobResumed>();
  CHECK(std::count_if(resumed.begin(), resumed.end(), [&](const auto& r) { return r.blob.digest == digest; }) == 1);
}
