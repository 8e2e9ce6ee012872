// Every kind of operation on the disk fails once, with each error that disks give: the pull ends with the right code,
// or lives through it; what is left is whole, and the next pull ends right.

#include <doctest/doctest.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>

#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"
#include "tests/support/io/faulty_file_system.h"

using namespace pullama;
using testing::content;
using testing::FaultyFileSystem;
using testing::PullFixture;
using Operation = FaultyFileSystem::Operation;

namespace {

struct Failing {
  PullFixture f;
  std::string model = content(3'000'000, 1);
  Digest digest;
  std::unique_ptr<io::FileSystem> real;
  FaultyFileSystem* disk = nullptr;

  Failing() : digest(f.registry.add_blob(model)) {
    f.registry.add_model("ns/m", "latest", {model, "{}"});
    real = std::move(f.fs);
    auto faulty = std::make_unique<FaultyFileSystem>(*real);
    disk = faulty.get();
    f.fs = std::move(faulty);
  }

  // No name that Ollama would take for a model, and no half-written state.
  void check_tidy() const {
    for (const auto& name : f.names(".pullm")) CHECK_MESSAGE(!name.ends_with(".tmp"), name);
    if (f.exists(f.manifest_file())) CHECK(f.read(store::blob_path(digest)) == model);
    if (f.exists(store::blob_path(digest))) CHECK(f.read(store::blob_path(digest)) == model);
  }
};

struct Case {
  Operation operation;
  const char* name;
  const char* path;
};

constexpr Case kCases[] = {
    {Operation::kWrite, "write", ".partial"},     {Operation::kSync, "sync", ".partial"},
    {Operation::kPreallocate, "preallocate", ""}, {Operation::kCreate, "create", ".partial"},
    {Operation::kCreate, "create", ".json"},      {Operation::kWrite, "write", ".json"},
    {Operation::kSync, "sync", ".json"},          {Operation::kRename, "rename", ".json"},
    {Operation::kRename, "rename", ".partial"},   {Operation::kWrite, "write", "manifests/"},
    {Operation::kSync, "sync", "manifests/"},     {Operation::kRename, "rename", "manifests/"},
    {Operation::kSyncDirectory, "sync of", ""},   {Operation::kMakeDirectories, "mkdir", ""},
};

// For what another thread does in a moment; what it waited for is checked after it.
void wait_until(const std::function<bool()>& there) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!there() && std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE("whatever fails on the disk, once, is told by the right code and costs no byte of truth") {
  unsigned failed = 0, survived = 0;
  for (const Case& one : kCases) {
    for (const auto& fault : {std::pair{EIO, 1U}, {ENOSPC, 2U}, {EDQUOT, 1U}}) {
      const int number = fault.first;
      const unsigned nth = fault.second;
      // Every fault is a pull, and another that goes on: quotas are for what takes room.
      if (number == EDQUOT && one.operation != Operation::kWrite && one.operation != Operation::kPreallocate) continue;
      CAPTURE(one.name);
      CAPTURE(one.path);
      CAPTURE(std::strerror(number));
      CAPTURE(nth);
      Failing box;
      box.disk->fail(one.operation, number, nth, 1, one.path);
      const auto first = box.f.pull();
      if (!first) {
        ++failed;
        CHECK((first.error().code == ErrorCode::kDiskFull) == (number != EIO));
        CHECK_MESSAGE(first.error().message.find(std::strerror(number)) != std::string::npos, first.error().message);
      } else {
        ++survived;
      }
      box.check_tidy();
      box.disk->clear();
      const auto second = box.f.pull();
      REQUIRE_MESSAGE(second, second.error().message);
      CHECK(box.f.read(store::blob_path(box.digest)) == box.model);
      CHECK(box.f.exists(box.f.manifest_file()));
    }
  }
  MESSAGE(failed << " pulls failed and went on, " << survived << " lived through it");
  CHECK(failed > 15);
}

TEST_CASE("after a sync that failed nothing is believed but the last good checkpoint") {
  Failing box;
  // The disk works again at once: a second try on the same file would say yes.
  box.disk->fail(Operation::kSync, EIO, 1, 1, store::partial_path(box.digest));
  const auto first = box.f.pull();
  REQUIRE_FALSE(first);
  CHECK(first.error().os_error == EIO);
  CHECK_FALSE(box.f.exists(store::checkpoint_path(box.digest)));
  CHECK_FALSE(box.f.exists(store::blob_path(box.digest)));
  box.disk->clear();
  const auto second = box.f.pull();
  REQUIRE_MESSAGE(second, second.error().message);
  CHECK(second->fetched_bytes >= box.model.size());
}

TEST_CASE("a record of unsynced bytes that cannot be written costs the pull nothing") {
  for (const Operation operation : {Operation::kCreate, Operation::kWrite, Operation::kRename}) {
    CAPTURE(static_cast<int>(operation));
    Failing box;
    box.f.request.connections = 1;
    box.f.request.checkpoint_interval = std::chrono::milliseconds(2);
    box.disk->fail(operation, ENOSPC, 1, FaultyFileSystem::kAlways, ".unsynced");
    box.f.registry.set_on_piece([&](std::uint64_t bytes) {
      if (bytes > 1'000'000) wait_until([&] { return box.disk->failures() > 0; });
    });
    const auto pulled = box.f.pull();
    REQUIRE_MESSAGE(pulled, pulled.error().message);
    CHECK(box.disk->failures() > 0);
    CHECK(box.f.read(store::blob_path(box.digest)) == box.model);
    CHECK_FALSE(box.f.exists(store::unsynced_path(box.digest)));
    box.check_tidy();
  }
}

TEST_CASE("a sync that failed takes the record of unsynced bytes with it: their pages may be gone") {
  Failing box;
  box.f.request.connections = 1;
  box.f.request.checkpoint_interval = std::chrono::milliseconds(2);
  bool was_there = false;
  box.f.registry.set_on_piece([&](std::uint64_t bytes) {
    if (bytes < 1'000'000 || std::exchange(was_there, true)) return;
    wait_until([&] { return box.f.exists(store::unsynced_path(box.digest)); });
    was_there = box.f.exists(store::unsynced_path(box.digest));
    box.disk->fail(Operation::kSync, EIO, 1, FaultyFileSystem::kAlways, store::partial_path(box.digest));
  });
  const auto pulled = box.f.pull();
  REQUIRE_FALSE(pulled);
  CHECK(pulled.error().os_error == EIO);
  CHECK(was_there);
  CHECK_FALSE(box.f.exists(store::unsynced_path(box.digest)));
  box.check_tidy();
}
