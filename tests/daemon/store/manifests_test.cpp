#include "daemon/store/manifests.h"
#include "daemon/io/os_error.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/faulty_file_system.h"
#include "tests/support/io/privileges.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

using namespace std::chrono_literals;
using Operation = testing::FaultyFileSystem::Operation;

const std::string kRaw =
    R"({ "schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","unknown":1,)"
    R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:)" +
    std::string(64, 'c') +
    R"(","size":2},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)" +
    std::string(64, 'd') + R"(","size":3}]})";

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> posix = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  testing::FaultyFileSystem fs{*posix};
  Manifests manifests{fs};

  static ModelName name(const std::string& text) {
    auto parsed = ModelName::parse(text);
    REQUIRE_MESSAGE(parsed, parsed.error().message);
    return *parsed;
  }
  void install(const std::string& path) const { dir.write("manifests/" + path, kRaw); }
  std::string spelling(const std::string& text) {
    auto spelled = manifests.existing_spelling(name(text));
    REQUIRE_MESSAGE(spelled, spelled.error().message);
    return spelled->path();
  }
  std::vector<std::string> scanned() {
    auto found = manifests.scan();
    REQUIRE_MESSAGE(found, found.error().message);
    std::vector<std::string> paths;
    for (const auto& manifest : *found) paths.push_back(manifest.name.path());
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  std::vector<std::string> temporaries() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(dir.path())) {
      if (entry.path().string().ends_with(".tmp")) found.push_back(entry.path().string());
    }
    return found;
  }
};

TEST_CASE_FIXTURE(Fixture,
                  "a manifest is written byte for byte, readable for the model server, and no temporary stays") {
  const testing::Umask strict(0077);
  REQUIRE(manifests.write(name("m"), kRaw));
  const std::string path = "manifests/registry.ollama.ai/library/m/latest";
  CHECK(dir.read(path) == kRaw);
  CHECK(testing::mode_of(dir / path) == 0644);
  for (const std::string folder :
       {"manifests", "manifests/registry.ollama.ai", "manifests/registry.ollama.ai/library/m"}) {
    CHECK(testing::mode_of(dir / folder) == 0755);
  }
  CHECK(temporaries().empty());
  CHECK(fs.count(Operation::kSyncDirectory, "library/m") == 1);
  const auto read = manifests.read(name("m"));
  REQUIRE(read);
  CHECK(read->raw() == kRaw);
  REQUIRE(manifests.write(name("m"), kRaw + "\n"));
  CHECK(dir.read(path) == kRaw + "\n");
}

TEST_CASE_FIXTURE(Fixture, "the temporary never lies where models are listed") {
  std::vector<std::string> made;
  fs.on_operation([&](Operation operation, const std::string& path) {
    if (operation == Operation::kCreate) made.push_back(path);
  });
  REQUIRE(manifests.write(name("m"), kRaw));
  REQUIRE(made.size() == 1);
  CHECK(made[0].starts_with("manifests/.pullm-"));
  CHECK(std::count(made[0].begin(), made[0].end(), '/') == 1);
}

TEST_CASE_FIXTURE(Fixture, "a write that fails leaves the old manifest and no temporary") {
  REQUIRE(manifests.write(name("m"), kRaw));
  for (const Operation operation : {Operation::kWrite, Operation::kSync, Operation::kRename}) {
    fs.fail(operation, ENOSPC);
    const auto done = manifests.write(name("m"), "new");
    REQUIRE_FALSE(done);
    CHECK(done.error().code == ErrorCode::kDiskFull);
    CHECK(manifests.read(name("m"))->raw() == kRaw);
    CHECK(temporaries().empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "temporaries that a crash left go with the next write, and nothing else") {
  dir.write("manifests/.pullm-0123.tmp", "half a manif");
  dir.write("manifests/.pullm-rm.lock", "");
  dir.write("manifests/other.tmp", "");
  REQUIRE(manifests.write(name("m"), kRaw));
  CHECK_FALSE(dir.exists("manifests/.pullm-0123.tmp"));
  CHECK(dir.exists("manifests/.pullm-rm.lock"));
  CHECK(dir.exists("manifests/other.tmp"));
}

TEST_CASE_FIXTURE(Fixture, "what lies in a manifest's way is named and left alone") {
  dir.write("outside", "precious");
  const std::string tag = "manifests/registry.ollama.ai/library/m/latest";
  std::filesystem::create_directories(dir / tag);
  auto done = manifests.write(name("m"), kRaw);
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find(dir / tag) != std::string::npos);
  std::filesystem::remove(dir / tag);
  std::filesystem::create_symlink("../../../../outside", dir / tag);
  done = manifests.write(name("m"), kRaw);
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find(dir / tag) != std::string::npos);
  CHECK(std::filesystem::is_symlink(dir / tag));
  dir.write("manifests/registry.ollama.ai/library/file", "");
  done = manifests.write(name("file"), kRaw);
  REQUIRE_FALSE(done);
  CHECK(done.error().message.find(dir / "manifests/registry.ollama.ai/library/file") != std::string::npos);
  std::filesystem::create_directory_symlink("../..", dir / "manifests/registry.ollama.ai/link");
  CHECK_FALSE(manifests.write(name("link/m"), kRaw));
  CHECK(dir.read("outside") == "precious");
  CHECK(temporaries().empty());
}

TEST_CASE_FIXTURE(Fixture, "the scan takes what Ollama lists and passes over the rest") {
  CHECK(scanned().empty());
  install("registry.ollama.ai/library/m/latest");
  install("registry.ollama.ai/library/m/latest.tmp");
  install("localhost:5000/ns/M/Q4_K_M");
  install("hf.co/user/r.e-p_o/tag");
  dir.write("manifests/.pullm-1234.tmp", "");
  dir.write("manifests/.DS_Store", "");
  dir.write("manifests/registry.ollama.ai/file", "");
  dir.write("manifests/registry.ollama.ai/library/file", "");
  install(".hidden/library/m/latest");
  install("registry.ollama.ai/dot.ted/m/latest");
  install("registry.ollama.ai/library/m/-tag");
  install("registry.ollama.ai/library/m/" + std::string(81, 'x'));
  install("registry.ollama.ai/library/m/deeper/tag");
  std::filesystem::create_directories(dir / "manifests/registry.ollama.ai/library/empty");
  std::filesystem::create_symlink("nowhere", dir / "manifests/registry.ollama.ai/library/m/dangling");
  const std::vector<std::string> wanted{"hf.co/user/r.e-p_o/tag", "localhost:5000/ns/M/Q4_K_M",
                                        "registry.ollama.ai/library/m/dangling", "registry.ollama.ai/library/m/latest",
                                        "registry.ollama.ai/library/m/latest.tmp"};
  CHECK(scanned() == wanted);
  // Ollama follows it: what is behind it is told as unknown.
  std::filesystem::create_directory_symlink("library", dir / "manifests/registry.ollama.ai/linked");
  CHECK_FALSE(manifests.scan());
  std::vector<Error> unreadable;
  CHECK(manifests.scan(&unreadable)->size() == wanted.size());
  REQUIRE(unreadable.size() == 1);
  CHECK(unreadable[0].message.find("registry.ollama.ai/linked") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a folder that cannot be read fails the scan, or is told of") {
  install("registry.ollama.ai/library/m/latest");
  install("hf.co/user/r/latest");
  fs.fail(Operation::kList, EACCES, 1, 1, "manifests/hf.co");
  CHECK(manifests.scan().error().code == ErrorCode::kPermission);
  fs.fail(Operation::kList, EACCES, 1, 1, "manifests/hf.co");
  std::vector<Error> unreadable;
  const auto found = manifests.scan(&unreadable);
  REQUIRE(found);
  CHECK(found->size() == 1);
  CHECK(unreadable.size() == 1);
  // Gone between two looks is no error.
  fs.fail(Operation::kList, ENOENT, 1, 1, "manifests/hf.co");
  fs.fail(Operation::kStat, ENOENT, 1, 1, "library/m/latest");
  CHECK(scanned().empty());
}

TEST_CASE_FIXTURE(Fixture, "names find the spelling that is there") {
  install("registry.ollama.ai/library/Llama3/Latest");
  install("hf.co/Bartowski/Some-GGUF/Q4_K_M");
  install("hf.co/Twice/m/latest");
  install("hf.co/twice/m/latest");
  const struct {
    const char *wanted, *found;
  } cases[] = {
      {"llama3", "registry.ollama.ai/library/Llama3/Latest"},
      {"LLAMA3:LATEST", "registry.ollama.ai/library/Llama3/Latest"},
      {"HF.co/bartowski/some-gguf:q4_k_m", "hf.co/Bartowski/Some-GGUF/Q4_K_M"},
      // No such manifest, but folders that a second spelling would stand beside.
      {"hf.co/bartowski/some-gguf:Q8_0", "hf.co/Bartowski/Some-GGUF/Q8_0"},
      {"hf.co/bartowski/other:q4_k_m", "hf.co/Bartowski/other/q4_k_m"},
      {"llama3:q4_k_m", "registry.ollama.ai/library/Llama3/q4_k_m"},
      {"example.com/Bartowski/Some-gguf:q4_k_m", "example.com/Bartowski/Some-gguf/q4_k_m"},
      // The exact one first.
      {"hf.co/twice/m", "hf.co/twice/m/latest"},
      {"hf.co/Twice/m", "hf.co/Twice/m/latest"},
      {"hf.co/TWICE/m", "hf.co/Twice/m/latest"},
      {"hf.co/twice/n", "hf.co/twice/n/latest"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.wanted);
    CHECK(spelling(c.wanted) == c.found);
  }
  // The scheme is lost, as in a path: two ways to write one name are one name.
  CHECK(*manifests.existing_spelling(name("http://h/n/m")) == name("h/n/m"));
}

TEST_CASE_FIXTURE(Fixture, "an unreadable manifest says which file it is") {
  CHECK(io::is_missing(manifests.read(name("none")).error()));
  const std::string path = "manifests/registry.ollama.ai/library/m/latest";
  for (const std::string bad : {"", "{", "<html>", "{\"errors\":[]}", "{\"schemaVersion\":2,\"manifests\":[]}"}) {
    CAPTURE(bad);
    dir.write(path, bad);
    const auto read = manifests.read(name("m"));
    REQUIRE_FALSE(read);
    CHECK(read.error().code == ErrorCode::kCorrupt);
    CHECK(read.error().message.find(dir / path) != std::string::npos);
  }
  std::filesystem::resize_file(dir / path, manifest::kMaxManifestBytes + 1);
  CHECK(manifests.read(name("m")).error().code == ErrorCode::kCorrupt);
}

TEST_CASE_FIXTURE(Fixture, "the lock is one at a time, and waiting for it ends with a stop") {
  auto lock = manifests.lock(0ms, {});
  REQUIRE(lock);
  CHECK(manifests.lock(0ms, {}).error().code == ErrorCode::kLocked);
  std::stop_source stop;
  stop.request_stop();
  CHECK(manifests.lock(24h, stop.get_token()).error().code == ErrorCode::kCancelled);
  lock = fail(ErrorCode::kInternal, "let go");
  CHECK(manifests.lock(0ms, {}));
}

}  // namespace
}  // namespace pullama::store
