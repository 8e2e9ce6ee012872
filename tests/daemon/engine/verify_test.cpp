#include "daemon/engine/verify.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <cerrno>

#include "daemon/io/sha256.h"
#include "daemon/store/in_use.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/no_ledger.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;
using Kind = engine::Finding::Kind;

namespace {

struct Fixture : PullFixture {
  store::InUse in_use;
  engine::VerifyRequest wish;
  std::vector<engine::BlobRef> planned;

  Fixture() {
    request.chunk_bytes = 1 << 20;
    wish.threads = 2;
    wish.on_plan = [this](const std::vector<engine::BlobRef>& blobs, std::uint64_t) { planned = blobs; };
  }
  Result<engine::VerifySummary> verify(std::stop_token stop = {}) {
    return engine::verify({registry, clock, credentials, rate}, {*fs, *ledger, space, &in_use}, wish, sink,
                          std::move(stop));
  }
  std::vector<engine::Finding> findings(bool repair = false) {
    wish.repair.reset();
    if (repair) wish.repair = request;
    const std::size_t before = sink.count<engine::Finding>();
    const auto done = verify();
    REQUIRE_MESSAGE(done, (done ? "" : done.error().message));
    auto all = sink.all<engine::Finding>();
    all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(before));
    CHECK(done->wrong ==
          static_cast<unsigned>(std::count_if(all.begin(), all.end(), [](const auto& f) { return !f.repaired; })));
    return all;
  }
  // One bit of the file, with the times as they were.
  void flip(const Digest& digest, std::uint64_t offset) const {
    const std::string file = path(store::blob_path(digest));
    struct stat before {};
    REQUIRE(::stat(file.c_str(), &before) == 0);
    {
      std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(offset));
      const int byte = stream.get();
      stream.seekp(static_cast<std::streamoff>(offset));
      stream.put(static_cast<char>(byte ^ 1));
    }
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
  }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << text;
  }
  std::uint64_t served_during(const std::function<void()>& work) const {
    const std::uint64_t before = registry.blob_bytes_served();
    work();
    return registry.blob_bytes_served() - before;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a store that is right has no findings, and each blob is hashed once") {
  registry.add_model("ns/m", "latest", {content(3'000'000, 1), content(100, 2), "{}"});
  registry.add_model("ns/other", "latest", {content(3'000'000, 1), "{}"});
  REQUIRE(pull());
  request.model = *ModelName::parse("mem.test/ns/other");
  REQUIRE(pull());
  CHECK(findings().empty());
  CHECK(planned.size() == 3);
  CHECK(sink.count<engine::BlobVerifying>() == 3);
  const auto progress = sink.all<engine::BlobProgress>();
  REQUIRE_FALSE(progress.empty());
  CHECK(progress.back().job_bytes_done == 3'000'102);
  CHECK(progress.back().job_bytes_total == 3'000'102);
}

TEST_CASE_FIXTURE(Fixture, "one flipped bit with an untouched mtime is found, and one chunk mends it") {
  const std::string weights = content(5'000'000, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  const Digest digest = registry.add_blob(weights);
  REQUIRE(pull());
  const std::size_t chunks = ledger->chunks(digest).size();
  REQUIRE(chunks >= 4);
  flip(digest, 2'500'000);
  for (int twice = 0; twice < 2; ++twice) {
    const auto found = findings();
    REQUIRE(found.size() == 1);
    CHECK(found[0].kind == Kind::kDamaged);
    CHECK(found[0].digest == digest);
    CHECK(found[0].models == std::vector<std::string>{"mem.test/ns/m:latest"});
    CHECK_FALSE(found[0].repaired);
    CHECK(found[0].message.find("1 of its") != std::string::npos);
  }
  CHECK_FALSE(ledger->is_verified(digest, *fs->stat(store::blob_path(digest))));
  const std::uint64_t served = served_during([&] {
    const auto found = findings(true);
    REQUIRE(found.size() == 1);
    CHECK(found[0].repaired);
  });
  CHECK(served > 0);
  CHECK(served <= (1 << 20));
  CHECK(read(store::blob_path(digest)) == weights);
  CHECK(findings().empty());
  CHECK(ledger->is_verified(digest, *fs->stat(store::blob_path(digest))));
  CHECK(names(".pullm/keep").empty());
  CHECK(names("blobs").size() == 2);
  CHECK_FALSE(exists(store::checkpoint_path(digest)));
}

TEST_CASE_FIXTURE(Fixture, "while it is repaired the damaged file stays under its name") {
  const std::string weights = content(3'000'000, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  const Digest digest = registry.add_blob(weights);
  REQUIRE(pull());
  flip(digest, 10);
  bool always = true;
  registry.set_on_piece([&](std::uint64_t) { always = always && exists(store::blob_path(digest)); });
  CHECK(findings(true).size() == 1);
  registry.set_on_piece({});
  CHECK(always);
  CHECK(read(store::blob_path(digest)) == weights);
}

TEST_CASE_FIXTURE(Fixture, "what is missing, too short, too long or no file is told and mended") {
  const std::string a = content(300'000, 1), b = content(2'500'000, 2), c = content(300'000, 3), d = content(1000, 4);
  registry.add_model("ns/m", "latest", {a, b, c, d, "{}"});
  REQUIRE(pull());
  std::filesystem::remove(path(store::blob_path(registry.add_blob(a))));
  std::filesystem::resize_file(path(store::blob_path(registry.add_blob(b))), 2'200'000);
  write(store::blob_path(registry.add_blob(c)), c + "more");
  const std::string d_path = path(store::blob_path(registry.add_blob(d)));
  std::filesystem::remove(d_path);
  std::filesystem::create_symlink("nowhere", d_path);
  const auto found = findings();
  REQUIRE(found.size() == 4);
  std::map<Digest, Kind> kinds;
  for (const auto& finding : found) kinds[*finding.digest] = finding.kind;
  CHECK(kinds.at(registry.add_blob(a)) == Kind::kMissing);
  CHECK(kinds.at(registry.add_blob(b)) == Kind::kWrongSize);
  CHECK(kinds.at(registry.add_blob(c)) == Kind::kWrongSize);
  CHECK(kinds.at(registry.add_blob(d)) == Kind::kDamaged);
  std::filesystem::remove(d_path);
  const std::uint64_t served = served_during([&] {
    for (const auto& finding : findings(true)) CHECK_MESSAGE(finding.repaired, finding.message);
  });
  // Of what was cut off, only the end is fetched again.
  CHECK(served <= a.size() + 500'000 + c.size() + d.size());
  for (const std::string& blob : {a, b, c, d}) CHECK(read(store::blob_path(registry.add_blob(blob))) == blob);
  CHECK(findings().empty());
}

TEST_CASE_FIXTURE(Fixture, "without a ledger the registry's chunksums tell what is damaged, else the blob is fetched") {
  const std::string weights = content(65 << 20, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  const Digest digest = registry.add_blob(weights);
  write(store::blob_path(digest), weights);
  write(store::blob_path(registry.add_blob("{}")), "{}");
  const std::string manifest = registry.add_model("ns/m", "latest", {weights, "{}"});
  write(manifest_file(), manifest);
  flip(digest, 40 << 20);
  std::uint64_t most = weights.size();
  SUBCASE("chunksums") {
    std::string sums;
    const std::size_t part = 13 << 20;
    for (std::size_t at = 0; at < weights.size(); at += part) {
      sums += io::sha256(std::as_bytes(std::span(weights).subspan(at, part))).str() + " " + std::to_string(at) + "-" +
              std::to_string(at + part - 1) + "\n";
    }
    registry.set_chunksums(digest, sums);
    most = part;
  }
  SUBCASE("nothing") {}
  const std::uint64_t served = served_during([&] {
    const auto found = findings(true);
    REQUIRE(found.size() == 1);
    CHECK_MESSAGE(found[0].repaired, found[0].message);
  });
  CHECK(served > 0);
  CHECK(served <= most);
  CHECK(read(store::blob_path(digest)) == weights);
}

TEST_CASE_FIXTURE(Fixture, "what no registry has stays damaged and is told so; of several names one is enough") {
  const std::string weights = content(300'000, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  const Digest digest = registry.add_blob(weights);
  REQUIRE(pull());
  flip(digest, 7);
  registry.set_hook([](const testing::Request& asked, testing::Answer& answer) {
    if (asked.path.find("/blobs/") != std::string::npos) answer = {404, {}, "", {}, false};
  });
  const auto found = findings(true);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].repaired);
  CHECK(found[0].message.find("could not be repaired") != std::string::npos);
  CHECK(exists(store::blob_path(digest)));

  registry.set_hook([](const testing::Request& asked, testing::Answer& answer) {
    if (asked.path.find("/aaa/copy/") != std::string::npos) answer = {404, {}, "", {}, false};
  });
  write("manifests/mem.test/aaa/copy/latest", read(manifest_file()));
  const auto again = findings(true);
  REQUIRE(again.size() == 1);
  CHECK_MESSAGE(again[0].repaired, again[0].message);
  CHECK(again[0].models.size() == 2);
  CHECK(read(store::blob_path(digest)) == weights);
}

TEST_CASE_FIXTURE(Fixture, "broken manifests are told, mended by the registry's, and hide nothing else") {
  const std::string manifest = registry.add_model("ns/m", "latest", {content(1000, 1), "{}"});
  REQUIRE(pull());
  write("manifests/mem.test/ns/other/latest", manifest);
  write(manifest_file(), "{");
  flip(registry.add_blob(content(1000, 1)), 5);
  const auto found = findings();
  REQUIRE(found.size() == 2);
  CHECK(found[0].kind == Kind::kDamaged);
  CHECK(found[1].kind == Kind::kBrokenManifest);
  CHECK(found[1].models == std::vector<std::string>{"mem.test/ns/m:latest"});
  for (const auto& finding : findings(true)) CHECK_MESSAGE(finding.repaired, finding.message);
  CHECK(read(manifest_file()) == manifest);
}

TEST_CASE_FIXTURE(Fixture, "blobs that nobody names are told, those of an unfinished pull are not") {
  registry.add_model("ns/m", "latest", {content(1000, 1), "{}"});
  REQUIRE(pull());
  for (const char* text : {"orphan", "pending", "running"}) write(store::blob_path(registry.add_blob(text)), text);
  write(std::string(store::kPendingDir) + "/mem.test/ns/third/latest",
        registry.add_model("ns/third", "l", {"pending"}));
  const auto hold = in_use.hold({registry.add_blob("running")});
  const auto found = findings();
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == Kind::kUnreferenced);
  CHECK(found[0].digest == registry.add_blob("orphan"));
  wish.models = {request.model};
  CHECK(findings().empty());
}

TEST_CASE_FIXTURE(Fixture, "only the models that are named are looked at") {
  registry.add_model("ns/m", "latest", {content(1000, 1), "{}"});
  registry.add_model("ns/other", "latest", {content(1000, 2), "{}"});
  REQUIRE(pull());
  request.model = *ModelName::parse("mem.test/ns/other");
  REQUIRE(pull());
  flip(registry.add_blob(content(1000, 2)), 1);
  wish.models = {*ModelName::parse("mem.test/NS/M")};
  CHECK(findings().empty());
  wish.models.push_back(request.model);
  CHECK(findings().size() == 1);
  wish.models = {*ModelName::parse("mem.test/ns/missing")};
  CHECK(verify().error().code == ErrorCode::kNotFound);
}

TEST_CASE_FIXTURE(Fixture,
                  "of two sizes that manifests state the one that is not the file's is told, and nothing is fetched") {
  const std::string manifest = registry.add_model("ns/m", "latest", {content(1000, 1), "{}"});
  REQUIRE(pull());
  std::string lie = manifest;
  lie.replace(lie.find("\"size\":1000"), 11, "\"size\":999");
  for (const char* name : {"a", "z"}) {  // before and after the other one
    write(std::string("manifests/mem.test/ns/") + name + "/latest", lie);
    std::vector<engine::Finding> found;
    CHECK(served_during([&] { found = findings(true); }) == 0);
    REQUIRE(found.size() == 1);
    CHECK(found[0].kind == Kind::kWrongSize);
    CHECK(found[0].models == std::vector<std::string>{std::string("mem.test/ns/") + name + ":latest"});
    CHECK_FALSE(found[0].repaired);
    std::filesystem::remove_all(path(std::string("manifests/mem.test/ns/") + name));
  }
  CHECK(findings().empty());
}

TEST_CASE_FIXTURE(Fixture, "a stop ends it at once and changes nothing") {
  registry.add_model("ns/m", "latest", {content(30'000'000, 1), "{}"});
  REQUIRE(pull());
  std::stop_source stop;
  wish.on_plan = [&](const std::vector<engine::BlobRef>&, std::uint64_t) { stop.request_stop(); };
  const auto stopped = verify(stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == ErrorCode::kCancelled);
  CHECK(sink.count<engine::Finding>() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a repair that was stopped goes on where it was") {
  const std::string weights = content(9'000'000, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  const Digest digest = registry.add_blob(weights);
  REQUIRE(pull());
  flip(digest, 100);
  flip(digest, 5'000'000);
  wish.repair = request;
  std::stop_source stop;
  const std::uint64_t before = registry.blob_bytes_served();
  registry.set_on_piece([&](std::uint64_t total) {
    if (total - before > 600'000) stop.request_stop();
  });
  CHECK(verify(stop.get_token()).error().code == ErrorCode::kCancelled);
  registry.set_on_piece({});
  CHECK(exists(store::blob_path(digest)));
  const auto found = findings(true);
  REQUIRE(found.size() == 1);
  CHECK(found[0].repaired);
  CHECK(read(store::blob_path(digest)) == weights);
  CHECK(registry.blob_bytes_served() - before <= 3 << 20);
}

TEST_CASE_FIXTURE(Fixture, "a store that may only be read is verified without a ledger") {
  const std::string weights = content(100'000, 1);
  registry.add_model("ns/m", "latest", {weights, "{}"});
  REQUIRE(pull());
  flip(registry.add_blob(weights), 3);
  store::NoLedger none;
  const auto done =
      engine::verify({registry, clock, credentials, rate}, {*fs, none, space, nullptr}, wish, sink, std::stop_token{});
  REQUIRE(done);
  CHECK(done->wrong == 1);
  CHECK(done->blob_count == 2);
}
