#pragma once
// All blobs of a model, several at a time: large ones one after another (each with many connections), small ones beside
// them. Reports the job's progress ten times a second. The first failure stops the rest, which keeps what it has.

#include <memory>
#include <stop_token>
#include <vector>

#include "daemon/engine/blob_download.h"

namespace pullama::engine {

struct LanesOutcome {
  std::uint64_t saved_bytes = 0;
  std::uint64_t fetched_bytes = 0;
};

Result<LanesOutcome> run_blob_lanes(BlobContext& context, const std::vector<BlobRef>& blobs,
                                    std::function<void(const BlobRef&)> on_done, std::stop_token stop);

}  // namespace pullama::engine
