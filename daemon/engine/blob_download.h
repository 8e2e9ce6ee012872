#pragma once
// The life of one blob, from "is it there?" to its final name: cached, lock, adopt, plan, transfer, verify, finish.
// Reads top to bottom. After success blobs/sha256-<hex> has its digest and is durable, and keep/ holds it until the
// manifest is written.

#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>

#include "daemon/engine/adopt.h"
#include "daemon/engine/blob_lanes.h"
#include "daemon/engine/pull.h"
#include "daemon/engine/transfer.h"
#include "daemon/store/blob_lock.h"

namespace pullama::engine {

struct BlobContext {
  EngineContext& engine;
  StoreContext& store;
  registry::Registry& registry;
  const PullRequest& request;
  RateLimit& job_rate_limit;
  std::uint64_t job;
  ProgressSink& sink;
  std::atomic<std::uint64_t>& retries;
  std::function<void(const BlobRef&)> on_space_allocated;  // it is reserved on the disk now
  // A final file that is there is not looked at but replaced. Called once a blob, under its lock: makes a partial and a
  // checkpoint of what is good of that file.
  std::function<Status(const BlobRef&)> seed{};
};

struct BlobOutcome {
  bool cached = false;
  std::uint64_t saved_bytes = 0;  // of a partial
};

// For run_blob_lanes(): each blob by a BlobDownload. The context must outlive it.
LanesWork download_lanes(BlobContext& context, std::function<void(const BlobRef&)> on_done);

class BlobDownload {
 public:
  BlobDownload(BlobContext& context, BlobRef blob, BlobGauge& gauge);
  // kCancelled after a stop. Errors name the digest.
  Result<BlobOutcome> run(std::stop_token stop);

 private:
  enum class Step { kDone, kAgain };
  Result<bool> cached_under_lock(std::stop_token stop);
  Result<Step> download(store::BlobLock& lock, std::stop_token stop);
  Result<Step> after_transfer(TransferResult result, Start& start, store::BlobLock& lock);
  Result<Step> after_wrong_digest(ChunkPlan& plan, Start& start);
  Result<Step> finish(Start& start, store::BlobLock& lock, const ChunkPlan& plan);
  Result<Step> wait_for_partial(const std::stop_token& stop);
  bool rest_of_download() const;
  Status drop_download();
  Status throw_away();
  Status write_empty();
  void report_start(const Start& start);
  ChunkPlan plan_with_chunksums(ChunkPlan plan, std::stop_token stop);

  BlobContext& context_;
  io::FileSystem& fs_;
  const BlobRef blob_;
  BlobGauge& gauge_;
  BlobOutcome outcome_;
  bool seeded_ = false;
  unsigned restarts_ = 0;
  unsigned rot_rounds_ = 0;
  bool reported_start_ = false;
  io::Clock::SteadyTime began_;
  std::optional<ChunkPlan> next_plan_;  // for another transfer of the same partial
};

}  // namespace pullama::engine
