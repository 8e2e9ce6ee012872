// What other programs leave or take away: unfinished downloads of Ollama and of the original pullama, and what an
// Ollama server deletes when it starts.

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "daemon/engine/finalize.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

using namespace pullama;
using testing::content;
using testing::PullFixture;

namespace {

// registry-protocol: every name in blobs/ that is no digest, and every blob that no manifest names, once it is an hour
// old.
void ollama_server_start(const PullFixture& f) {
  const bool has_manifest = f.exists(f.manifest_file());
  for (const auto& name : f.names("blobs")) {
    const bool digest = name.size() == 71 && name.starts_with("sha256-");
    if (!digest || !has_manifest) std::filesystem::remove(f.path("blobs/" + name));
  }
}

struct Model {
  std::string bytes = content(12'000'000, 1);
  Digest digest;
  explicit Model(PullFixture& f) : digest(f.registry.add_blob(bytes)) {
    f.registry.add_model("ns/m", "latest", {bytes, "{}"});
  }
};

void write(const PullFixture& f, const std::string& name, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(f.path(name)).parent_path());
  std::ofstream(f.path(name), std::ios::binary) << text;
}

}  // namespace

TEST_CASE("an unfinished download of Ollama is taken over where nobody has it open") {
  PullFixture f;
  const Model model(f);
  std::string data = model.bytes;
  std::fill(data.begin() + 4'000'000, data.begin() + 6'000'000, '\0');
  std::fill(data.begin() + 9'000'000, data.end(), '\0');
  write(f, store::ollama_partial_path(model.digest), data);
  write(f, store::ollama_part_path(model.digest, 0), "{\"N\":0,\"Offset\":0,\"Size\":6000000,\"Completed\":4000000}\n");
  write(f, store::ollama_part_path(model.digest, 1),
        "{\"N\":1,\"Offset\":6000000,\"Size\":6000000,\"Completed\":3000000}\n");
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  REQUIRE(f.sink.count<engine::BlobAdopted>() == 1);
  CHECK(f.sink.all<engine::BlobAdopted>()[0].bytes == 7'000'000);
  CHECK(summary->fetched_bytes == 5'000'002);
  CHECK(f.names("blobs").size() == 2);
}

TEST_CASE("adopted bytes that are wrong are fetched again, and only they") {
  PullFixture f;
  const Model model(f);
  std::string data = model.bytes;
  data[1'000'000] ^= 1;
  write(f, store::ollama_partial_path(model.digest), data);
  write(f, store::ollama_part_path(model.digest, 0),
        "{\"N\":0,\"Offset\":0,\"Size\":12000000,\"Completed\":3000000}\n");
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(summary->fetched_bytes == 12'000'002);
}

TEST_CASE("a download of Ollama that somebody has open is left alone") {
  PullFixture f;
  const Model model(f);
  write(f, store::ollama_partial_path(model.digest), model.bytes);
  write(f, store::ollama_part_path(model.digest, 0),
        "{\"N\":0,\"Offset\":0,\"Size\":12000000,\"Completed\":3000000}\n");
  const std::ifstream open(f.path(store::ollama_partial_path(model.digest)), std::ios::binary);
  REQUIRE(f.pull());
  CHECK(f.sink.count<engine::BlobAdopted>() == 0);
  CHECK(f.exists(store::ollama_partial_path(model.digest)));
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
}

TEST_CASE("a download of Ollama that has another name too is not written to") {
  PullFixture f;
  const Model model(f);
  const std::string data = model.bytes.substr(0, 4'000'000) + std::string(8'000'000, '\0');
  write(f, store::ollama_partial_path(model.digest), data);
  write(f, store::ollama_part_path(model.digest, 0),
        "{\"N\":0,\"Offset\":0,\"Size\":12000000,\"Completed\":4000000}\n");
  std::filesystem::create_hard_link(f.path(store::ollama_partial_path(model.digest)), f.path("elsewhere"));
  REQUIRE(f.pull());
  CHECK(f.read("elsewhere") == data);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
}

TEST_CASE("a partial that another name leads to as well is left to that name") {
  for (const bool in_keep : {false, true}) {
    CAPTURE(in_keep);
    PullFixture f;
    const Model model(f);
    const auto planted = in_keep ? store::keep_path(model.digest) : store::partial_path(model.digest);
    write(f, planted, "not yours");
    std::filesystem::create_hard_link(f.path(planted), f.path("elsewhere"));
    REQUIRE(f.pull());
    CHECK(f.read("elsewhere") == "not yours");
    CHECK(std::filesystem::hard_link_count(f.path("elsewhere")) == 1);
    CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  }
}

TEST_CASE("a checkpoint of the original pullama counts as far as its verified run goes") {
  PullFixture f;
  const Model model(f);
  write(f, store::partial_path(model.digest), model.bytes.substr(0, 8'000'000));
  write(
      f, store::checkpoint_path(model.digest),
      fmt::format(
          R"({{"version":1,"digest":"{}","size":12000000,"chunks":[{{"start":0,"end":4999999,"verified":true}},)"
          R"({{"start":5000000,"end":7999999,"verified":true}},{{"start":8000000,"end":11999999,"verified":false}}]}})",
          model.digest.str()));
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(summary->fetched_bytes == 4'000'002);
}

TEST_CASE("a partial that an Ollama server start deletes comes back from keep, in any stage") {
  PullFixture f;
  const Model model(f);
  std::uint64_t served = 0;
  for (const std::uint64_t at : {1'000'000ULL, 6'000'000ULL, 11'000'000ULL}) {
    std::stop_source stop;
    f.registry.set_on_piece([&](std::uint64_t total) {
      if (total >= at) stop.request_stop();
    });
    REQUIRE_FALSE(f.pull(stop.get_token()));
    f.restart_daemon();
    ollama_server_start(f);
    CHECK(f.names("blobs").empty());
    served = f.registry.blob_bytes_served();
  }
  f.registry.set_on_piece({});
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(f.registry.blob_bytes_served() <= model.bytes.size() + 2 + 3 * 16 * (320 << 10));
  CHECK(served < model.bytes.size() + 3 * 16 * (320 << 10));
}

TEST_CASE("a partial that is deleted while it is being written is linked back and goes on") {
  PullFixture f;
  const Model model(f);
  std::atomic<bool> deleted{false};
  f.request.connections = 1;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total >= 5'000'000 && !deleted.exchange(true)) ollama_server_start(f);
  });
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(deleted);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
}

TEST_CASE("blobs that are deleted between the last one and the manifest are not fetched twice") {
  PullFixture f;
  const Model model(f);
  // Stop after all blobs: the small one is served last, and its request stops the pull once it is there.
  std::stop_source stop;
  f.registry.set_on_piece([&](std::uint64_t total) {
    if (total >= model.bytes.size() + 2) stop.request_stop();
  });
  static_cast<void>(f.pull(stop.get_token()));
  f.registry.set_on_piece({});
  f.restart_daemon();
  if (!f.exists(f.manifest_file())) ollama_server_start(f);
  const auto summary = f.pull();
  REQUIRE_MESSAGE(summary, summary.error().message);
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
  CHECK(f.registry.blob_bytes_served() <= model.bytes.size() + 2 + 2 + 16 * (320 << 10));
}

TEST_CASE("no manifest appears beside a blob that is gone or cut short") {
  PullFixture f;
  const Model model(f);
  REQUIRE(f.pull());
  const auto manifest = manifest::Manifest::parse(f.read(f.manifest_file()));
  REQUIRE(manifest);
  engine::StoreContext store{*f.fs, *f.ledger, f.space};
  const auto blob = f.path(store::blob_path(model.digest));
  for (const bool is_there : {false, true}) {
    std::filesystem::remove(f.path(f.manifest_file()));
    std::filesystem::remove(blob);
    if (is_there) write(f, store::blob_path(model.digest), "cut short");
    const auto written = engine::write_manifest(store, f.request.model, *manifest, {}, {});
    REQUIRE_MESSAGE(written, written.error().message);
    CHECK_FALSE(*written);
    CHECK_FALSE(f.exists(f.manifest_file()));
  }
  REQUIRE(f.pull());
  CHECK(f.read(store::blob_path(model.digest)) == model.bytes);
}

TEST_CASE("what a kill left of the try to write is gone after the next pull") {
  PullFixture f;
  const Model model(f);
  for (const char* name : {"blobs/.pullm-trying.try", "blobs/.pullm-tried.try", "manifests/.pullm-tried.try"})
    write(f, name, "");
  REQUIRE(f.pull());
  CHECK(f.names("blobs").size() == 2);
  CHECK(f.names("manifests").size() == 1);
}
