#pragma once
// All blobs of a model, several at a time: large ones one after another, small ones beside them. Reports the job's
// progress ten times a second. The first failure stops the rest, which keeps what it has.

#include <functional>
#include <stop_token>
#include <vector>

#include "daemon/engine/progress.h"
#include "daemon/engine/transfer.h"

namespace pullama::engine {

struct LanesOutcome {
  std::uint64_t saved_bytes = 0;
  std::uint64_t fetched_bytes = 0;  // or sent
};

struct LanesWork {
  const io::Clock& clock;
  ProgressSink& sink;
  bool up = false;           // the direction that is reported
  unsigned large_lanes = 1;  // large blobs at a time
  // One blob, on a thread of a lane; the bytes that an earlier run saved.
  std::function<Result<std::uint64_t>(const BlobRef&, BlobGauge&, std::stop_token)> transfer;
  std::function<void(const BlobRef&)> on_done;
};

Result<LanesOutcome> run_blob_lanes(const LanesWork& work, const std::vector<BlobRef>& blobs, std::stop_token stop);

}  // namespace pullama::engine
