#pragma once
// A pull from first to last: manifest, blobs, manifest written. Runs on the calling thread plus workers of its own that
// are all gone when run() returns. Every wait ends within 100 ms of a stop; what was received is then synced and
// checkpointed first. Never leaves a half-written file under a final name.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/rate_limit.h"
#include "daemon/io/clock.h"
#include "daemon/io/file_system.h"
#include "daemon/registry/http.h"
#include "daemon/registry/mirror.h"
#include "daemon/registry/network_environment.h"
#include "daemon/store/ledger.h"

namespace pullama::registry {
class Credentials;
}
namespace pullama::store {
class InUse;
}

namespace pullama::engine {

class SpaceReservations;  // space.h: what running jobs still need on the disk

// One models dir, opened once a process; all pulls into it share it.
struct StoreContext {
  io::FileSystem& fs;
  store::Ledger& ledger;
  SpaceReservations& space;
  store::InUse* in_use = nullptr;  // told which blobs a transfer needs, where others may remove some meanwhile
};

// What all pulls of the process share.
struct EngineContext {
  registry::Http& http;
  const io::Clock& clock;
  const registry::Credentials& credentials;
  RateLimit& rate_limit;  // over all jobs
  // The network of uploads that go by a process of their own (courier.h); empty: none does. Thread-safe.
  std::function<registry::NetworkEnvironment()> courier_network{};
  // To one blob where a request names no number; may change at any time. nullptr or 0: found out.
  const std::atomic<unsigned>* connections = nullptr;
};

struct PullRequest {
  ModelName model;
  bool insecure = false;
  std::optional<unsigned> max_retries = 6;  // a chunk, without one byte gained by the blob; nullopt: unlimited
  std::uint64_t chunk_bytes = 64ULL << 20;
  std::chrono::milliseconds request_timeout{std::chrono::minutes(30)};
  unsigned connections = 0;                 // to one blob, 1 to 16; 0: found out
  std::uint64_t rate_bytes_per_second = 0;  // this job's; 0: none
  std::string ca_file{};
  std::string user_agent{};
  std::vector<registry::Mirror> mirrors{};  // of the model's host
  bool prune = true;                        // remove blobs that only the manifest named which this one replaces
  bool force = false;                       // start although the disk looks too small
  std::chrono::milliseconds checkpoint_interval{1000};  // of a blob under way, at most; see checkpoint_writer.h
  std::optional<Digest> manifest_before{};              // of an earlier run of the same job: a difference is reported
};

struct PullSummary {
  Digest manifest;
  std::uint64_t total_bytes = 0;    // of the model, each digest once
  std::uint64_t fetched_bytes = 0;  // that travelled in this run
  std::uint64_t saved_bytes = 0;    // of partials that a resume or an adoption did not fetch again
  unsigned blob_count = 0;
  std::uint64_t retries = 0;
};

// Answer of a dry run.
struct PullPlan {
  struct Item {
    Digest digest;
    std::uint64_t size_bytes = 0;
    std::uint64_t present_bytes = 0;  // cached (== size) or in a usable partial
  };
  Digest manifest;
  std::vector<Item> blobs;
  std::uint64_t total_bytes = 0, travel_bytes = 0;
  std::uint64_t free_bytes = 0, needed_bytes = 0;  // needed includes the 64 MiB reserve
};

class Pull {
 public:
  Pull(EngineContext engine, StoreContext store, PullRequest request, ProgressSink& sink);
  ~Pull();
  Pull(const Pull&) = delete;
  Pull& operator=(const Pull&) = delete;

  // kCancelled after a stop; kNetwork when out of retries (resumable), kDiskFull, kAuthFailed, kNotFound, kCorrupt, …
  Result<PullSummary> run(std::stop_token stop);
  // What would travel; changes nothing on disk.
  Result<PullPlan> plan(std::stop_token stop);

  // From any thread, while run() works; take effect within a second.
  void set_rate(std::uint64_t bytes_per_second);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pullama::engine
