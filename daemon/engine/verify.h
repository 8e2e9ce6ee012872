#pragma once
// Re-hashes installed blobs from the disk, on all cores, whatever the ledger says, and reports what is wrong (Finding):
// damaged, missing, wrongly sized and unreferenced blobs, broken manifests. With `repair`, fetches again what is
// damaged, by blob_repair. Runs on the calling thread and workers that are gone when it returns.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"

namespace pullama::engine {

struct VerifyRequest {
  std::vector<ModelName> models;  // empty: all, and blobs that none names
  // How to fetch what is damaged; its model is not looked at. None: only look.
  std::optional<PullRequest> repair;
  unsigned threads = 0;  // 0: as many as there are cores
  // Told once, before anything is hashed, what will be; on the calling thread.
  std::function<void(const std::vector<BlobRef>&, std::uint64_t total_bytes)> on_plan;
};

struct VerifySummary {
  std::uint64_t hashed_bytes = 0;
  std::uint64_t fetched_bytes = 0;  // by repairs
  unsigned blob_count = 0;          // hashed
  unsigned wrong = 0;               // findings that were not repaired
  std::uint64_t retries = 0;
};

// kNotFound where a model is not installed; kCancelled within 100 ms of a stop. What is found wrong is no error.
Result<VerifySummary> verify(const EngineContext& engine, const StoreContext& store, const VerifyRequest& request,
                             ProgressSink& sink, std::stop_token stop);

}  // namespace pullama::engine
