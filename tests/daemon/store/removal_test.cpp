#include "daemon/store/removal.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/store/blob_lock.h"
#include "daemon/store/manifests.h"
#include "tests/daemon/store/installed.h"
#include "tests/support/io/faulty_file_system.h"

using namespace pullama;
using namespace pullama::store;
using testing::digest_of;
using testing::names;

namespace {

struct Fixture : testing::InstalledModels {
  InUse in_use;
  Result<Removal> remove(const std::vector<std::string>& models, const std::vector<std::string>& open = {},
                         bool dry_run = false) {
    return remove_models({*fs, nullptr, &in_use}, names(models), names(open), dry_run, {});
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a removed model takes with it the blobs that nothing else names, and its empty folders") {
  install("a", {"only a", "shared"});
  install("b", {"only b", "shared"});
  const auto removal = remove({"A:Latest"});
  REQUIRE_MESSAGE(removal, removal.error().message);
  CHECK(removal->models == names({"a"}));
  REQUIRE(removal->blobs.size() == 1);
  CHECK(removal->blobs[0].digest == digest_of("only a"));
  CHECK(removal->freed_bytes == 6);
  CHECK(removal->shared_blobs == 1);
  CHECK_FALSE(has("manifests/registry.ollama.ai/library/a"));
  CHECK(has("manifests/registry.ollama.ai/library/b/latest"));
  CHECK_FALSE(has_blob("only a"));
  CHECK(has_blob("shared"));

  REQUIRE(remove({"b"}));
  CHECK(std::filesystem::is_empty(dir / "blobs"));
  CHECK(std::filesystem::is_empty(dir / "manifests"));
}

TEST_CASE_FIXTURE(Fixture, "several models are removed together, one that is named twice once") {
  install("a", {"shared", "x"});
  install("b", {"shared"});
  const auto removal = remove({"a", "b", "A"});
  REQUIRE(removal);
  CHECK(removal->models == names({"a", "b"}));
  CHECK(removal->blobs.size() == 2);
  CHECK(removal->shared_blobs == 0);
}

TEST_CASE_FIXTURE(Fixture, "a scheme before the name changes nothing") {
  install("h:5000/n/a", {"only a", "shared"});
  install("b", {"shared"});
  const auto removal = remove({"http://h:5000/n/a", "http://h:5000/n/a", "h:5000/n/a"});
  REQUIRE_MESSAGE(removal, removal.error().message);
  CHECK(removal->models == names({"h:5000/n/a"}));
  CHECK(removal->blobs.size() == 1);
  CHECK(removal->shared_blobs == 1);
  CHECK_FALSE(has_blob("only a"));
}

TEST_CASE_FIXTURE(Fixture, "models behind a linked folder are not known, so nothing is removed") {
  install("a", {"shared"});
  install("h:5000/n/b", {"shared"});
  for (const std::string folder : {"manifests/h:5000", "manifests/h:5000/n", "manifests/h:5000/n/b"}) {
    std::filesystem::rename(dir / folder, dir / "elsewhere");
    std::filesystem::create_symlink(dir / "elsewhere", dir / folder);
    const auto removal = remove({"a"});
    REQUIRE_FALSE(removal);
    CHECK(removal.error().message.find(dir / folder) != std::string::npos);
    CHECK(has_blob("shared"));
    std::filesystem::remove(dir / folder);
    std::filesystem::rename(dir / "elsewhere", dir / folder);
  }
}

TEST_CASE_FIXTURE(Fixture, "one that is not there: nothing is removed") {
  install("a", {"x"});
  const auto removal = remove({"a", "missing"});
  REQUIRE_FALSE(removal);
  CHECK(removal.error().code == ErrorCode::kNotFound);
  CHECK(removal.error().message.find("missing:latest") != std::string::npos);
  CHECK(has(manifest("a")));
  CHECK(has_blob("x"));
}

TEST_CASE_FIXTURE(Fixture, "another manifest that cannot be parsed is named, and nothing is removed") {
  install("a", {"x"});
  dir.write(manifest("broken:7b"), "{");
  const auto removal = remove({"a"});
  REQUIRE_FALSE(removal);
  CHECK(removal.error().message.find(dir / manifest("broken:7b")) != std::string::npos);
  CHECK(has(manifest("a")));
  CHECK(has_blob("x"));

  SUBCASE("two that are broken stand in each other's way, and the way out is said") {
    dir.write(manifest("torn:1b"), "{");
    const auto refused = remove({"torn:1b"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().hint.find("pullama rm broken:7b torn:1b") != std::string::npos);
    CHECK(remove({"broken:7b", "torn:1b"}));
    CHECK(remove({"a"}));
  }
  SUBCASE("the broken one itself can be removed") {
    REQUIRE(remove({"broken:7b"}));
    CHECK(remove({"a"}));
  }
  SUBCASE("a folder that cannot be read may hide one, too") {
    std::filesystem::remove(dir / manifest("broken:7b"));
    install("h:1/ns/m", {"x"});
    testing::FaultyFileSystem faulty(*fs);
    faulty.fail(testing::FaultyFileSystem::Operation::kList, EACCES, 1, 99, "manifests/h:1/ns");
    const auto refused = remove_models({faulty, nullptr, &in_use}, names({"a"}), {}, false, {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kPermission);
    CHECK(has_blob("x"));
  }
  SUBCASE("a symlink in its place counts as one that cannot be read") {
    std::filesystem::remove(dir / manifest("broken:7b"));
    std::filesystem::create_symlink("nowhere", dir / manifest("broken:7b"));
    CHECK_FALSE(remove({"a"}));
    REQUIRE(remove({"broken:7b"}));
    CHECK(remove({"a"}));
  }
}

TEST_CASE_FIXTURE(Fixture, "a dry run says the same and changes nothing") {
  install("a", {"only a", "shared"});
  install("b", {"shared"});
  const auto before = std::filesystem::last_write_time(dir / "blobs");
  const auto removal = remove({"a"}, {}, true);
  REQUIRE(removal);
  CHECK(removal->blobs.size() == 1);
  CHECK(removal->freed_bytes == 6);
  CHECK(removal->shared_blobs == 1);
  CHECK(has(manifest("a")));
  CHECK(has_blob("only a"));
  CHECK_FALSE(has(".pullm"));
  CHECK(std::filesystem::last_write_time(dir / "blobs") == before);
}

TEST_CASE_FIXTURE(Fixture, "what a transfer uses stays") {
  install("a", {"x", "y"});
  SUBCASE("of this process") {
    const auto hold = in_use.hold({digest_of("x")});
    const auto removal = remove({"a"});
    REQUIRE(removal);
    CHECK(removal->blobs.size() == 1);
    CHECK(removal->shared_blobs == 1);
  }
  SUBCASE("of another process") {
    const int fd = ::open((dir / blob_lock_path(digest_of("x"))).c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    REQUIRE(::flock(fd, LOCK_EX | LOCK_NB) == 0);
    const auto removal = remove({"a"});
    ::close(fd);
    REQUIRE(removal);
    CHECK(removal->shared_blobs == 1);
  }
  SUBCASE("of a pull that will go on") {
    note_pending("b", {"x", "z"});
    link(blob("x"), keep_path(digest_of("x")));
    const auto removal = remove({"a"}, {"B"});
    REQUIRE(removal);
    CHECK(removal->shared_blobs == 1);
    CHECK(has(keep_path(digest_of("x"))));
  }
  CHECK(has_blob("x"));
  CHECK_FALSE(has_blob("y"));
  CHECK_FALSE(has(manifest("a")));
}

TEST_CASE_FIXTURE(Fixture, "a blob that a transfer took since it was looked at stays") {
  dir.write(blob("x"), "x");
  const auto hold = in_use.hold({digest_of("x")});
  const auto gone = remove_blob({*fs, nullptr, &in_use}, digest_of("x"));
  REQUIRE(gone);
  CHECK_FALSE(gone->has_value());
  CHECK(has_blob("x"));
}

TEST_CASE_FIXTURE(Fixture, "what a pull that is over had kept goes with the blob, so its space is free") {
  install("a", {"x"});
  note_pending("given-up", {"x"});
  link(blob("x"), keep_path(digest_of("x")));
  REQUIRE(remove({"a"}));
  CHECK_FALSE(has_blob("x"));
  CHECK_FALSE(has(keep_path(digest_of("x"))));
}

TEST_CASE_FIXTURE(Fixture, "a blob that is not there is none of the removed") {
  install("a", {"x", "gone"});
  std::filesystem::remove(dir / blob("gone"));
  const auto removal = remove({"a"});
  REQUIRE(removal);
  CHECK(removal->blobs.size() == 1);
  CHECK(removal->shared_blobs == 0);
}

TEST_CASE_FIXTURE(Fixture, "unneeded blobs go, but none that a manifest or any unfinished pull names") {
  install("a", {"named"});
  note_pending("b", {"pending"});
  dir.write(blob("pending"), "pending");
  dir.write(blob("old"), "old");
  dir.write(partial_path(digest_of("half")), "half");
  dir.write(checkpoint_path(digest_of("half")), "{}");
  const std::vector<Digest> all = {digest_of("named"), digest_of("pending"), digest_of("old"), digest_of("half")};
  const auto removed = remove_unneeded({*fs, nullptr, &in_use}, all);
  REQUIRE(removed);
  REQUIRE(removed->size() == 1);
  CHECK((*removed)[0].digest == digest_of("old"));
  CHECK(has_blob("named"));
  CHECK(has_blob("pending"));
  CHECK_FALSE(has(partial_path(digest_of("half"))));
  CHECK_FALSE(has(checkpoint_path(digest_of("half"))));

  dir.write(blob("old"), "old");
  dir.write(manifest("broken"), "{");
  CHECK_FALSE(remove_unneeded({*fs, nullptr, &in_use}, all));
  CHECK(has_blob("old"));
}

TEST_CASE("a hold lasts as long as it lives, and several may be had of one blob") {
  InUse in_use;
  const Digest digest = digest_of("x");
  int ran = 0;
  {
    auto first = in_use.hold({digest});
    {
      InUse::Hold second = std::move(first);
      auto third = in_use.hold({digest, digest});
      CHECK(in_use.holds(digest));
      CHECK_FALSE(in_use.unless_held(digest, [&] { ++ran; }));
    }
    CHECK_FALSE(in_use.holds(digest));
  }
  CHECK(in_use.unless_held(digest, [&] { ++ran; }));
  CHECK(ran == 1);
}
