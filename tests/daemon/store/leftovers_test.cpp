#include "daemon/store/leftovers.h"

#include <doctest/doctest.h>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

TEST_CASE("what a crash left is swept and everything else stays") {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  const auto fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  const std::string hex(64, 'a');
  const std::vector<std::string> gone = {"manifests/.pullm-0123456789abcdef.tmp", "blobs/.pullm-0123456789abcdef.try",
                                         "blobs/.pullm-0123456789abcdef.try.tmp", ".pullm/queue.json.tmp",
                                         ".pullm/sha256-" + hex + ".json.tmp",    ".pullm/keep/sha256-" + hex + ".tmp"};
  // Ollama's own unfinished downloads end in .tmp too, and a tag may.
  const std::vector<std::string> stay = {"blobs/sha256-" + hex,
                                         "blobs/sha256-" + hex + ".tmp",
                                         "blobs/sha256-" + hex + ".partial",
                                         "blobs/.other.tmp",
                                         "manifests/registry.ollama.ai/library/m/v1.tmp",
                                         ".pullm/queue.json",
                                         ".pullm/sha256-" + hex + ".json",
                                         ".pullm/keep/sha256-" + hex};
  for (const auto& path : gone) dir.write(path, "x");
  for (const auto& path : stay) dir.write(path, "x");
  REQUIRE(fs->make_directories("blobs/.pullm-folder.tmp"));
  CHECK(remove_leftovers(*fs) == gone.size());
  for (const auto& path : gone) CHECK_MESSAGE(!dir.exists(path), path);
  for (const auto& path : stay) CHECK_MESSAGE(dir.exists(path), path);
  CHECK(dir.exists("blobs/.pullm-folder.tmp"));
  CHECK(remove_leftovers(*fs) == 0);
}

TEST_CASE("a models dir without its folders has no leftovers") {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  const auto fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  CHECK(remove_leftovers(*fs) == 0);
}

}  // namespace
}  // namespace pullama::store
