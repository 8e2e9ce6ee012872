#pragma once
// A models dir in a temporary folder, a registry in memory, a clock that passes by sleeping, and all that an
// engine::Pull needs.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/engine/pull.h"
#include "daemon/engine/space.h"
#include "daemon/io/file_system_posix.h"
#include "daemon/registry/credentials.h"
#include "tests/support/io/content.h"
#include "tests/support/io/fake_clock.h"
#include "tests/support/io/temp_dir.h"
#include "tests/support/memory_registry/memory_registry.h"

namespace pullama::testing {

class RecordingSink final : public engine::ProgressSink {
 public:
  void report(const engine::Report& report) override {
    const std::lock_guard lock(mutex_);
    reports_.push_back(report);
  }
  template <class T>
  std::vector<T> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<T> found;
    for (const auto& report : reports_) {
      if (const auto* one = std::get_if<T>(&report)) found.push_back(*one);
    }
    return found;
  }
  template <class T>
  std::size_t count() const {
    return all<T>().size();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<engine::Report> reports_;
};

struct PullFixture {
  TempDir dir;
  MemoryRegistry registry;
  FakeClock clock;
  pullama::registry::Credentials credentials{
      pullama::registry::CredentialPaths{dir / "no-key", dir / "no-docker", "tester"}};
  engine::RateLimit rate{clock};
  std::unique_ptr<io::FileSystem> fs = open_fs();
  std::unique_ptr<store::Ledger> ledger = store::Ledger::open(*fs, [](const std::string&) {});
  engine::SpaceReservations space;
  RecordingSink sink;
  engine::PullRequest request{*ModelName::parse("mem.test/ns/m")};

  std::unique_ptr<io::FileSystem> open_fs() const {
    auto opened = io::PosixFileSystem::open(dir / "models", true);
    if (!opened) throw std::runtime_error(opened.error().message);
    return std::move(*opened);
  }

  Result<engine::PullSummary> pull(std::stop_token stop = {}) {
    engine::Pull job({registry, clock, credentials, rate}, {*fs, *ledger, space}, request, sink);
    return job.run(std::move(stop));
  }

  // What the next start of the daemon sees: nothing in memory.
  void restart_daemon() {
    ledger.reset();
    fs = open_fs();
    ledger = store::Ledger::open(*fs, [](const std::string&) {});
  }

  std::string path(const std::string& name) const { return dir / ("models/" + name); }
  bool exists(const std::string& name) const { return std::filesystem::exists(path(name)); }
  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::vector<std::string> names(const std::string& folder) const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path(folder)))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }
  std::string manifest_file() const { return "manifests/mem.test/ns/m/latest"; }
  // How often each byte of a blob was handed over.
  std::vector<int> times_served(const Digest& digest, std::size_t size) const {
    std::vector<int> times(size, 0);
    for (const auto& served : registry.log()) {
      if (served.path.find(digest.str()) == std::string::npos || served.path.find("/blobs/") == std::string::npos)
        continue;
      const std::uint64_t first = served.status == 206 ? served.first.value_or(0) : 0;
      for (std::uint64_t i = first; i < first + served.bytes && i < size; ++i) ++times[i];
    }
    return times;
  }
};

}  // namespace pullama::testing
