#pragma once
// A model in a registry in memory, and pulls of it onto disks whose power may be cut. Chunks, pieces and checkpoints
// are so small and so many that a few ten thousand bytes see every step that a real download sees.

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/engine/pull.h"
#include "daemon/engine/space.h"
#include "daemon/registry/credentials.h"
#include "tests/crash/memory_ledger.h"
#include "tests/crash/promises.h"
#include "tests/support/io/crash_file_system.h"
#include "tests/support/io/fake_clock.h"
#include "tests/support/memory_registry/memory_registry.h"

namespace pullama::testing {

enum class Pace {
  kFast,
  // Each piece is written by itself, and the next one comes once a checkpoint was saved (or soon after, when none is).
  kCheckpoints,
  // Each piece is written by itself; no checkpoint within the first second and more, records of what is unsynced every
  // 100 ms.
  kUnsynced,
};

class PullWorld {
 public:
  // Layers, the last one is the config.
  explicit PullWorld(const std::vector<std::string>& blobs);
  // Another version under the same name from now on; the earlier ones may still be installed.
  void publish(const std::vector<std::string>& blobs);

  const Truth& truth() const { return truth_; }
  Digest digest(std::size_t blob) const { return digests_.at(blob); }  // of the version published last
  std::uint64_t total_bytes() const;                                   // of the version published last

  // What a daemon does that starts on this disk: sweeps leftovers, pulls. An error is what a cut disk gives. `said`:
  // what it told its user meanwhile.
  Result<engine::PullSummary> pull(CrashFileSystem& disk, store::Ledger& ledger, Pace pace, Said* said = nullptr);
  // kUnsynced: called for each piece before it is handed over, with the bytes that were before it.
  void set_on_piece(std::function<void(std::uint64_t bytes)> on_piece) { on_piece_ = std::move(on_piece); }

 private:
  MemoryRegistry registry_;
  std::function<void(std::uint64_t)> on_piece_;
  FakeClock clock_;
  registry::Credentials credentials_{registry::CredentialPaths{"/none/key", "/none/docker", "tester"}};
  engine::RateLimit rate_{clock_};
  Truth truth_;
  std::vector<Digest> digests_;
};

}  // namespace pullama::testing
