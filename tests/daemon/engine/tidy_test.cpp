// Pulls while others tidy up beside them, and what a pull tidies itself.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "daemon/store/cleaning.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/removal.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

namespace {

struct Fixture : PullFixture {
  store::InUse in_use;
  const std::vector<ModelName> pulled{request.model};

  store::RemovalContext removal() { return {*fs, ledger.get(), &in_use}; }
  Result<engine::PullSummary> pull_holding(std::stop_token stop = {}) {
    engine::Pull job({registry, clock, credentials, rate}, {*fs, *ledger, space, &in_use}, request, sink);
    return job.run(std::move(stop));
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::string pending_file() const { return std::string(store::kPendingDir) + "/mem.test/ns/m/latest"; }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "rm and clean beside a running pull of shared blobs, 100 times: nothing needed is ever gone") {
  const std::string shared = content(300'000, 1), large = content(1'500'000, 2), small = content(70'000, 3);
  registry.add_model("ns/m", "latest", {large, shared, small, "{}"});
  const std::string other = registry.add_model("ns/other", "latest", {shared, "{}"});
  const Digest shared_digest = registry.add_blob(shared);
  const std::vector<ModelName> others{*ModelName::parse("mem.test/ns/other")};
  std::filesystem::create_directories(path("blobs"));
  std::minstd_rand random{20261122};
  for (unsigned round = 0; round < 100; ++round) {
    CAPTURE(round);
    // The other model is installed, and nothing of the one to pull is there but what it shares.
    write(store::manifest_path(others[0]), other);
    write(store::blob_path(shared_digest), shared);
    write(store::blob_path(registry.add_blob("{}")), "{}");
    for (const std::string& blob : {large, small}) {
      std::filesystem::remove(path(store::blob_path(registry.add_blob(blob))));
    }
    std::filesystem::remove(path(manifest_file()));

    std::atomic<std::uint64_t> served{0};
    std::atomic<bool> over{false};
    const std::uint64_t before = registry.blob_bytes_served();
    const std::uint64_t moment = 1 + random() % 1'570'000;
    const bool interrupted = round % 4 == 3;
    std::stop_source stop;
    registry.set_on_piece([&](std::uint64_t total) {
      served = total - before;
      if (interrupted && served >= moment) stop.request_stop();
    });
    std::thread tidier([&] {
      while (served < moment && !over) std::this_thread::yield();
      store::CleanRequest clean;
      clean.busy = pulled;
      clean.unreferenced = true;
      const auto removed = store::remove_models(removal(), others, pulled, false, {});
      CHECK_MESSAGE(removed, (removed ? "" : removed.error().message));
      do {
        const auto cleaned = store::clean(removal(), clean, {});
        CHECK_MESSAGE(cleaned, (cleaned ? "" : cleaned.error().message));
      } while (!over);
    });
    auto summary = pull_holding(stop.get_token());
    if (interrupted && !summary) {
      CHECK(summary.error().code == ErrorCode::kCancelled);
      // Between two runs nothing of it is lost either: it is queued, so it is needed.
      summary = pull_holding();
    }
    over = true;
    tidier.join();
    registry.set_on_piece({});
    REQUIRE_MESSAGE(summary, summary.error().message);
    for (const std::string& blob : {large, shared, small}) {
      CHECK(read(store::blob_path(registry.add_blob(blob))) == blob);
    }
    CHECK_FALSE(exists(store::manifest_path(others[0])));
    CHECK(names(".pullm/keep").empty());
    CHECK(names("blobs").size() == 4);
  }
  const auto times = times_served(shared_digest, shared.size());
  CHECK(std::count(times.begin(), times.end(), 0) == static_cast<std::ptrdiff_t>(shared.size()));
}

TEST_CASE_FIXTURE(Fixture, "a pull that moved its tag removes what only the old manifest named") {
  const std::string kept = content(1000, 1), old = content(2000, 2), other = content(3000, 4);
  registry.add_model("ns/m", "latest", {kept, old, other, "{}"});
  registry.add_model("ns/other", "latest", {other, "{}"});
  REQUIRE(pull_holding());
  request.model = *ModelName::parse("mem.test/ns/other");
  REQUIRE(pull_holding());
  request.model = pulled[0];
  registry.add_model("ns/m", "latest", {kept, content(2500, 3), "{}"});
  SUBCASE("as Ollama does") {
    REQUIRE(pull_holding());
    CHECK_FALSE(exists(store::blob_path(registry.add_blob(old))));
  }
  SUBCASE("unless told not to") {
    request.prune = false;
    REQUIRE(pull_holding());
    CHECK(exists(store::blob_path(registry.add_blob(old))));
  }
  SUBCASE("not while another manifest cannot be read") {
    write("manifests/mem.test/ns/broken/latest", "{");
    REQUIRE(pull_holding());
    CHECK(exists(store::blob_path(registry.add_blob(old))));
  }
  SUBCASE("not what an unfinished pull needs") {
    write(std::string(store::kPendingDir) + "/mem.test/ns/third/latest",
          registry.add_model("ns/third", "latest", {old}));
    REQUIRE(pull_holding());
    CHECK(exists(store::blob_path(registry.add_blob(old))));
  }
  CHECK(exists(store::blob_path(registry.add_blob(kept))));
  CHECK(exists(store::blob_path(registry.add_blob(other))));
}

TEST_CASE_FIXTURE(Fixture, "an unfinished pull says what it needs until its manifest is in") {
  const std::string large = content(8'000'000, 1);
  const std::string manifest = registry.add_model("ns/m", "latest", {large, "{}"});
  std::stop_source stop;
  registry.set_on_piece([&](std::uint64_t total) {
    if (total >= 1'000'000) stop.request_stop();
  });
  REQUIRE_FALSE(pull_holding(stop.get_token()));
  registry.set_on_piece({});
  CHECK(read(pending_file()) == manifest);
  CHECK(in_use.holds(registry.add_blob(large)) == false);

  SUBCASE("and nothing is left of that") { REQUIRE(pull_holding()); }
  SUBCASE("and what it needed before its tag moved goes") {
    const std::string newer = content(900'000, 2);
    registry.add_model("ns/m", "latest", {newer, "{}"});
    REQUIRE(pull_holding());
    const Digest digest = registry.add_blob(large);
    CHECK_FALSE(exists(store::partial_path(digest)));
    CHECK_FALSE(exists(store::checkpoint_path(digest)));
    CHECK(read(store::blob_path(registry.add_blob(newer))) == newer);
  }
  CHECK_FALSE(exists(store::kPendingDir));
  CHECK(names(".pullm/keep").empty());
}
