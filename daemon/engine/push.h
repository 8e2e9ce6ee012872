#pragma once
// A push from first to last: the installed manifest, its blobs (HEAD, mount, upload), the manifest's stored bytes. Runs
// on the calling thread plus workers of its own that are all gone when run() returns. A stop ends every wait at once,
// and lets a request that is nearly through end within kGrace. The blobs' locks are held, so that nobody removes what
// is read here.

#include <chrono>
#include <memory>
#include <stop_token>

#include "daemon/engine/pull.h"

namespace pullama::engine {

// The same wishes; `connections` are those of one blob's parts (0: 4), a request carries at most `chunk_bytes`.
using PushRequest = PullRequest;

class Push {
 public:
  static constexpr std::chrono::milliseconds kGrace{1000};

  Push(EngineContext engine, StoreContext store, PushRequest request, ProgressSink& sink);
  ~Push();
  Push(const Push&) = delete;
  Push& operator=(const Push&) = delete;

  // fetched_bytes of the summary are those that were sent. kNotFound where the model is not installed, kCorrupt where a
  // blob of it is missing or wrong, kAuthFailed where the registry refuses us, kNetwork when out of retries
  // (resumable), kCancelled after a stop.
  Result<PullSummary> run(std::stop_token stop);
  // What would travel: asks the registry for each blob. Disk figures are 0.
  Result<PullPlan> plan(std::stop_token stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pullama::engine
