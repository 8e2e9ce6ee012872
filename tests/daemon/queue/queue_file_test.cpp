#include "daemon/queue/queue_file.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "daemon/queue/queue.h"
#include "tests/support/io/temp_dir.h"

using namespace pullama;
using namespace pullama::queue;

namespace {

constexpr const char* kPath = ".pullm/queue.json";
constexpr std::int64_t kNow = 1763752813123;

struct Dir {
  testing::TempDir dir;
  std::unique_ptr<io::FileSystem> fs = io::PosixFileSystem::open(dir.path().string(), false).value();

  std::vector<std::string> state_files() const {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::directory_iterator(dir.path() / ".pullm")) {
      names.push_back(item.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
};

}  // namespace

TEST_CASE("a missing file is an empty, paused queue") {
  Dir store;
  const auto loaded = load(*store.fs, kPath, "/m", kNow);
  REQUIRE(loaded.has_value());
  CHECK(loaded->data.entries.empty());
  CHECK(loaded->data.paused);
  CHECK(loaded->warnings.empty());
}

TEST_CASE("what was saved is loaded, only its owner may read it, and no temporary stays") {
  Dir store;
  Queue queue;
  queue.add({{JobKind::kPull, ModelName::parse("a").value(), "/m", "{}"}}, false, kNow);
  REQUIRE(save(*store.fs, kPath, Encoder().encode(queue.data())).has_value());
  struct stat info {};
  REQUIRE(::stat((store.dir / kPath).c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(store.state_files() == std::vector<std::string>{"queue.json"});
  const auto loaded = load(*store.fs, kPath, "/m", kNow);
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->data.entries.size() == 1);
  CHECK(loaded->data.entries[0]->model.display() == "a:latest");
}

TEST_CASE("a file that cannot be used is set aside with its content, and said") {
  for (const std::string content : {"", "{", R"({"version":7})", "\xff\xfe"}) {
    Dir store;
    std::filesystem::create_directory(store.dir.path() / ".pullm");
    store.dir.write(kPath, content);
    const auto loaded = load(*store.fs, kPath, "/m", kNow);
    REQUIRE(loaded.has_value());
    CHECK(loaded->data.entries.empty());
    REQUIRE(loaded->warnings.size() == 1);
    CHECK(loaded->warnings[0].find("queue.json.corrupt-20251121T192013Z") != std::string::npos);
    CHECK_FALSE(store.dir.exists(kPath));
    CHECK(store.dir.read(".pullm/queue.json.corrupt-20251121T192013Z") == content);
  }
}

TEST_CASE("two corrupt files of the same second are both kept") {
  Dir store;
  std::filesystem::create_directory(store.dir.path() / ".pullm");
  for (const char* content : {"first", "second"}) {
    store.dir.write(kPath, content);
    REQUIRE(load(*store.fs, kPath, "/m", kNow).has_value());
  }
  CHECK(store.dir.read(".pullm/queue.json.corrupt-20251121T192013Z") == "first");
  CHECK(store.dir.read(".pullm/queue.json.corrupt-20251121T192013Z-2") == "second");
}

TEST_CASE("a symlink in the file's place is an error, not followed and not replaced") {
  Dir store;
  store.dir.write("outside", "{}");
  std::filesystem::create_directory(store.dir.path() / ".pullm");
  std::filesystem::create_symlink(store.dir.path() / "outside", store.dir.path() / kPath);
  CHECK_FALSE(load(*store.fs, kPath, "/m", kNow).has_value());
  CHECK(store.dir.read("outside") == "{}");
}

TEST_CASE("what would not be read again is not written, and what is there stays") {
  Dir store;
  REQUIRE(save(*store.fs, kPath, "{}").has_value());
  const auto refused = save(*store.fs, kPath, std::string(kMaxQueueFileBytes + 1, ' '));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::kInvalidArgument);
  CHECK(store.dir.read(kPath) == "{}");
}

TEST_CASE("a NUL byte does not end the file") {
  Dir store;
  std::filesystem::create_directory(store.dir.path() / ".pullm");
  store.dir.write(kPath, std::string("{\"version\":2}\0", 14));
  const auto loaded = load(*store.fs, kPath, "/m", kNow);
  REQUIRE(loaded.has_value());
  CHECK(loaded->warnings.size() == 1);
}
