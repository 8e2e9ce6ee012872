#include "daemon/store/cleaning.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "daemon/store/blob_lock.h"
#include "tests/daemon/store/installed.h"

using namespace pullama;
using namespace pullama::store;
using testing::digest_of;
using testing::names;

namespace {

struct Fixture : testing::InstalledModels {
  InUse in_use;
  CleanRequest request;

  // What an interrupted download of 4,000 bytes leaves.
  void leave_partial(const std::string& seed) const {
    const Digest digest = digest_of(seed);
    dir.write(partial_path(digest), std::string(4000, 'p'));
    dir.write(checkpoint_path(digest), "{}");
    dir.write(blob_lock_path(digest), "");
    link(partial_path(digest), keep_path(digest));
  }
  Cleaning clean_now() {
    auto cleaning = clean({*fs, nullptr, &in_use}, request, {});
    REQUIRE_MESSAGE(cleaning, (cleaning ? "" : cleaning.error().message));
    return std::move(*cleaning);
  }
  static std::vector<std::string> paths(const Cleaning& cleaning) {
    std::vector<std::string> found;
    for (const CleanedFile& file : cleaning.removed) found.push_back(file.path);
    std::sort(found.begin(), found.end());
    return found;
  }
  std::vector<std::string> all_files() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path())) {
      if (!entry.is_directory()) found.push_back(std::filesystem::relative(entry.path(), dir.path()).string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what belongs to nothing goes, and only that; a second time there is nothing") {
  install("m", {"final"});
  leave_partial("half");
  note_pending("gone", {"half"});
  dir.write(std::string(kBlobsDir) + "/" + digest_of("rotten").file_name() + ".damaged", "rotten");
  dir.write(std::string(kStateDir) + "/damaged-" + digest_of("rotten").file_name(), "rotten");
  dir.write(upload_path(digest_of("final")), "{}");
  dir.write(checkpoint_path(digest_of("half")) + ".tmp", "{");
  dir.write("manifests/.pullm-0123456789abcdef.tmp", "{");
  // Of Ollama, of the daemon, of nobody that we know.
  const std::vector<std::string> others = {blob("final"),      blob("unreferenced"),
                                           manifest("m"),      ollama_partial_path(digest_of("half")),
                                           kQueueFile,         kHistoryFile,
                                           ".pullm/notes.txt", ".pullm/queue.json.tmp",
                                           "blobs/README.md",  "blobs/sha256-short.partial"};
  for (const std::string& path : others) {
    if (!has(path)) dir.write(path, "other");
  }
  const auto before = all_files();
  const Cleaning cleaning = clean_now();
  const auto after = all_files();
  std::vector<std::string> gone;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(gone));
  CHECK(paths(cleaning) == gone);
  CHECK(gone.size() == 10);
  std::vector<std::string> left = others;
  left.push_back(kManifestsLock);
  std::sort(left.begin(), left.end());
  CHECK(after == left);
  CHECK(cleaning.unfinished_bytes == 0);

  const Cleaning again = clean_now();
  CHECK(again.removed.empty());
  CHECK(again.freed_bytes == 0);
}

TEST_CASE_FIXTURE(Fixture, "a file with two names is counted once, one whose other name stays not at all") {
  leave_partial("half");
  install("m", {"final"});
  link(blob("final"), keep_path(digest_of("final")));
  request.dry_run = true;
  const Cleaning planned = clean_now();
  CHECK(has(partial_path(digest_of("half"))));
  CHECK_FALSE(has(kManifestsLock));
  request.dry_run = false;
  const Cleaning cleaning = clean_now();
  CHECK(paths(planned) == paths(cleaning));
  CHECK(planned.freed_bytes == cleaning.freed_bytes);
  CHECK(cleaning.freed_bytes == 4000 + 2);  // and the checkpoint
  CHECK(has_blob("final"));
  CHECK_FALSE(has(keep_path(digest_of("final"))));
}

TEST_CASE_FIXTURE(Fixture, "what runs or is queued keeps its own") {
  leave_partial("half");
  SUBCASE("by its pending manifest") {
    note_pending("queued", {"half", "other"});
    request.busy = names({"Queued"});
  }
  SUBCASE("by what this process transfers now") { static_cast<void>(in_use); }
  SUBCASE("by an installed manifest, for what is pushed") {
    install("pushed", {"half"});
    request.busy = names({"pushed"});
  }
  const auto hold = request.busy.empty() ? in_use.hold({digest_of("half")}) : InUse::Hold();
  const auto before = all_files();
  CHECK(clean_now().removed.empty());
  for (const std::string& path : before) CHECK(has(path));
}

TEST_CASE_FIXTURE(Fixture, "what another process has locked stays") {
  leave_partial("half");
  {
    const auto lock = BlobLock::try_acquire(*fs, digest_of("half"));
    REQUIRE((lock && *lock));
    CHECK(clean_now().removed.empty());
    request.dry_run = true;
    CHECK(clean_now().removed.empty());
    request.dry_run = false;
    CHECK(has(checkpoint_path(digest_of("half"))));
  }
  CHECK(clean_now().freed_bytes == 4002);
}

TEST_CASE_FIXTURE(Fixture, "what waits, failed or is paused is said first and goes when asked for") {
  leave_partial("half");
  note_pending("user/big:q4", {"half"});
  request.unfinished = names({"user/big:q4"});
  const Cleaning cleaning = clean_now();
  CHECK(cleaning.removed.empty());
  CHECK(cleaning.unfinished_bytes == 4002);
  CHECK(cleaning.unfinished_models == std::vector<std::string>{"user/big:q4"});
  request.take_unfinished = true;
  const Cleaning taken = clean_now();
  CHECK(taken.removed.size() == 5);
  CHECK(taken.unfinished_bytes == 0);
  CHECK_FALSE(has(kPendingDir));
}

TEST_CASE_FIXTURE(Fixture, "blobs that no manifest names and no transfer needs go when asked for") {
  install("m", {"named"});
  for (const char* content : {"orphan", "kept for a paused one", "kept for a running one"}) {
    dir.write(blob(content), content);
  }
  link(blob("orphan"), keep_path(digest_of("orphan")));
  note_pending("paused", {"kept for a paused one"});
  request.unfinished = names({"paused"});
  const auto hold = in_use.hold({digest_of("kept for a running one")});
  clean_now();
  CHECK(has_blob("orphan"));
  request.unreferenced = true;
  request.dry_run = true;
  CHECK(clean_now().freed_bytes == 6);
  request.dry_run = false;
  const Cleaning cleaning = clean_now();
  CHECK(paths(cleaning) == std::vector<std::string>{blob("orphan")});
  CHECK(cleaning.freed_bytes == 6);
  CHECK(has_blob("named"));
  CHECK(has_blob("kept for a paused one"));
  CHECK(has_blob("kept for a running one"));
  request.take_unfinished = true;
  CHECK(clean_now().removed.size() == 2);
  CHECK_FALSE(has_blob("kept for a paused one"));
}

TEST_CASE_FIXTURE(Fixture, "with a manifest that cannot be parsed nothing counts as unreferenced") {
  dir.write(manifest("broken"), "{");
  dir.write(blob("orphan"), "orphan");
  request.unreferenced = true;
  const auto refused = clean({*fs, nullptr, &in_use}, request, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("broken") != std::string::npos);
  CHECK(has_blob("orphan"));
}

TEST_CASE_FIXTURE(Fixture, "an empty models dir is clean") { CHECK(clean_now().removed.empty()); }
