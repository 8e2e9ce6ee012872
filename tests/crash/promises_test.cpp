// The judge is judged: each way to break a promise is planted, and must be seen.
#include "tests/crash/promises.h"

#include <doctest/doctest.h>

#include "daemon/engine/checkpoint.h"
#include "daemon/io/atomic_write.h"
#include "daemon/store/models_dir.h"
#include "tests/crash/pull_world.h"
#include "tests/support/io/crash_file_system.h"

namespace pullama::testing {
namespace {

void put(io::FileSystem& fs, const std::string& path, const std::string& content) {
  REQUIRE(fs.make_directories(path.substr(0, path.rfind('/'))));
  REQUIRE(io::atomic_write(fs, path, content, 0644));
}

struct Installed {
  PullWorld world{{std::string(3000, 'a'), "{}"}};
  CrashFileSystem disk;
  const Truth& truth = world.truth();
  Digest digest = world.digest(0);

  Installed() {
    MemoryLedger ledger;
    REQUIRE(world.pull(disk, ledger, Pace::kFast));
    REQUIRE(broken_promises(disk, truth).empty());
  }
  bool breaks(const std::string& promise) {
    const auto broken = broken_promises(disk, truth);
    return broken.size() == 1 && broken[0].starts_with("promise " + promise + ":");
  }
  // As if the blob were still on its way, with `received` bytes claimed of a partial that holds `bytes`.
  void unfinish(const std::string& bytes, std::uint64_t received) {
    REQUIRE(disk.remove(store::manifest_path(truth.model)));
    REQUIRE(disk.remove(store::blob_path(digest)));
    put(disk, store::partial_path(digest), bytes);
    const auto stat = disk.stat(store::partial_path(digest));
    const auto plan = engine::adopted_plan(3000, 4096, {{0, received, 0}});
    put(disk, store::checkpoint_path(digest),
        engine::format_checkpoint(digest, stat->inode, 3000, 0, std::nullopt, plan));
  }
};

TEST_CASE("a checkpoint that claims a byte that is not there is seen") {
  Installed sound;
  sound.unfinish(std::string(2999, 'a') + '?', 2999);
  CHECK(broken_promises(sound.disk, sound.truth).empty());
  CHECK(safe_bytes(sound.disk, sound.truth) == 2999 + 2);
  Installed claims;
  claims.unfinish(std::string(2999, 'a') + '?', 3000);
  CHECK(claims.breaks("2"));
  Installed gone;
  gone.unfinish(std::string(3000, 'a'), 3000);
  REQUIRE(gone.disk.remove(store::partial_path(gone.digest)));
  CHECK(gone.breaks("2"));
}

TEST_CASE("a state file that is neither old nor new is seen") {
  Installed checkpoint;
  checkpoint.unfinish(std::string(3000, 'a'), 10);
  const auto path = store::checkpoint_path(checkpoint.digest);
  const auto text = *checkpoint.disk.read_file(path, 1 << 20);
  put(checkpoint.disk, path, text.substr(0, text.size() / 2));
  CHECK(checkpoint.breaks("3"));
  Installed manifest;
  put(manifest.disk, store::manifest_path(manifest.truth.model), manifest.truth.manifests[0].substr(1));
  CHECK(manifest.breaks("3"));
}

TEST_CASE("a blob without its digest is seen") {
  Installed one;
  put(one.disk, store::blob_path(one.digest), std::string(2999, 'a') + 'b');
  CHECK(one.breaks("4"));
}

TEST_CASE("a manifest without its blobs, and a temporary among manifests, are seen") {
  Installed blob;
  REQUIRE(blob.disk.remove(store::blob_path(blob.digest)));
  CHECK(blob.breaks("5"));
  Installed temporary;
  put(temporary.disk, store::manifest_path(temporary.truth.model) + ".tmp", "{}");
  CHECK(temporary.breaks("5"));
}

TEST_CASE("what was said and is not so is seen") {
  Installed one;
  Said said{{{one.digest, 3000}}, {one.digest}, true};
  CHECK(broken_promises(one.disk, one.truth, said).empty());
  one.unfinish(std::string(3000, 'a'), 1000);
  CHECK(broken_promises(one.disk, one.truth, said).size() == 3);
  CHECK(broken_promises(one.disk, one.truth, {{{one.digest, 1000}}, {}, false}).empty());
}

TEST_CASE("trees that differ are told apart") {
  Installed one;
  const auto before = tree(one.disk);
  CHECK(difference(before, tree(one.disk)).empty());
  put(one.disk, "blobs/left", "x");
  CHECK(difference(before, tree(one.disk)) == "blobs/left is left over; ");
  CHECK(difference(tree(one.disk), before) == "blobs/left is missing; ");
}

}  // namespace
}  // namespace pullama::testing
