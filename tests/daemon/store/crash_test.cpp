// The store's promises, with the power cut before each operation.
#include <doctest/doctest.h>

#include "daemon/store/keep.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/removal.h"
#include "tests/support/io/crash_file_system.h"

namespace pullama::store {
namespace {

using testing::CrashFileSystem;
using testing::Survivors;

constexpr std::uint64_t kSeeds = 20;

template <class Check>
void for_each_outcome(const CrashFileSystem& disk, Check check) {
  check(*disk.recover(Survivors::kOnlySynced));
  check(*disk.recover(Survivors::kEverything));
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    check(*disk.recover(Survivors::kRandom, seed));
  }
}

std::string manifest_of(char digit) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","layers":[)"
         R"({"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)" +
         std::string(64, digit) + R"(","size":3}]})";
}

void check_manifest_write(bool over_an_old_one) {
  const ModelName name = *ModelName::parse("hf.co/user/m:Q4");
  const std::string old = manifest_of('1'), fresh = manifest_of('2');
  std::uint64_t cuts = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    CrashFileSystem disk;
    Manifests manifests(disk);
    if (over_an_old_one) REQUIRE(manifests.write(name, old));
    disk.cut_before(n);
    const auto written = manifests.write(name, fresh);
    CHECK(written.has_value() == !disk.is_off());
    for_each_outcome(disk, [&](CrashFileSystem& after) {
      Manifests there(after);
      const auto listed = there.scan();
      REQUIRE(listed);
      if (over_an_old_one || written) REQUIRE(listed->size() == 1);
      for (const InstalledManifest& manifest : *listed) {
        CHECK(manifest.name == name);
        const auto read = there.read(manifest.name);
        REQUIRE(read);
        CHECK((read->raw() == fresh || (over_an_old_one && read->raw() == old)));
        if (written) CHECK(read->raw() == fresh);
      }
      // The next write goes through and cleans up.
      REQUIRE(there.write(name, fresh));
      const auto entries = *after.list(kManifestsDir);
      for (const io::DirectoryEntry& entry : entries) CHECK(entry.name == "hf.co");
    });
    if (!disk.is_off()) break;
    ++cuts;
  }
  CHECK(cuts >= 5);
}

TEST_CASE("a power cut leaves no model, or one with its whole manifest, where models are listed") {
  check_manifest_write(false);
}

TEST_CASE("a power cut leaves the whole old manifest or the whole new one") { check_manifest_write(true); }

TEST_CASE("a blob that keep brought back is there after a power cut") {
  const Digest digest = *Digest::parse("sha256:" + std::string(64, 'a'));
  const std::string path = partial_path(digest);
  std::uint64_t cuts = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    CrashFileSystem disk;
    REQUIRE(disk.make_directories(kBlobsDir));
    {
      auto file = std::move(*disk.open(path, io::OpenMode::kCreateNew));
      const std::string bytes = "bytes";
      REQUIRE(file->write_at(0, std::as_bytes(std::span(bytes))));
      REQUIRE(file->sync_all());
    }
    Keep keep(disk);
    REQUIRE(keep.hold(digest, path));
    REQUIRE(disk.sync_directory(kKeepDir));
    REQUIRE(disk.sync_directory(kBlobsDir));
    REQUIRE(disk.remove(path));
    disk.cut_before(n);
    const auto restored = keep.restore(digest, path);
    CHECK(restored.has_value() == !disk.is_off());
    for_each_outcome(disk, [&](CrashFileSystem& after) {
      if (!restored) REQUIRE(Keep(after).restore(digest, path));
      CHECK(*after.read_file(path, 100) == "bytes");
      CHECK(after.stat(keep_path(digest))->same_file(*after.stat(path)));
    });
    if (!disk.is_off()) break;
    ++cuts;
  }
  CHECK(cuts == 2);
}

TEST_CASE("a power cut amid a removal leaves no manifest whose blob is gone") {
  const ModelName name = *ModelName::parse("hf.co/user/m:Q4");
  const Digest digest = *Digest::parse("sha256:" + std::string(64, '2'));
  std::uint64_t cuts = 0;
  for (std::uint64_t n = 1;; ++n) {
    CAPTURE(n);
    CrashFileSystem disk;
    REQUIRE(disk.make_directories(kBlobsDir));
    REQUIRE((*disk.open(blob_path(digest), io::OpenMode::kCreateNew))->sync_all());
    REQUIRE(disk.sync_directory(kBlobsDir));
    REQUIRE(Manifests(disk).write(name, manifest_of('2')));
    disk.cut_before(n);
    const auto removed = remove_models({disk, nullptr, nullptr}, {name}, {}, false, {});
    CHECK(removed.has_value() == !disk.is_off());
    for_each_outcome(disk, [&](CrashFileSystem& after) {
      const auto listed = Manifests(after).scan();
      REQUIRE(listed);
      if (removed) CHECK(listed->empty());
      if (!listed->empty()) CHECK(after.stat(blob_path(digest)));
    });
    if (!disk.is_off()) break;
    ++cuts;
  }
  CHECK(cuts >= 5);
}

}  // namespace
}  // namespace pullama::store
