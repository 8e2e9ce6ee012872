#pragma once
// One transfer of one blob: starts the connections, the hasher, the checkpoint writer and the resume check, adapts the
// count of connections, and ends when the blob is there, or cannot be, or is to stop. All its threads are gone when
// run() returns, and what was received is then in the checkpoint (unless the disk failed).

#include <atomic>
#include <chrono>
#include <optional>
#include <stop_token>

#include "daemon/engine/checkpoint.h"
#include "daemon/engine/checkpoint_writer.h"
#include "daemon/engine/connection.h"
#include "daemon/engine/partial_file.h"
#include "daemon/engine/transfer_state.h"

namespace pullama::engine {

// Figures of a blob that others read while it is transferred.
struct BlobGauge {
  std::atomic<std::uint64_t> bytes_done{0};  // there and believed, of the blob
  std::atomic<std::uint64_t> travelled{0};   // received in this run, also what was fetched again
  std::atomic<unsigned> connections{0};
};

struct TransferResult {
  TransferState::End end = TransferState::End::kRunning;  // kRunning: stopped
  std::optional<Error> error;
  ChunkPlan plan;
};

class Transfer {
 public:
  struct Parts {
    io::FileSystem& fs;
    PartialFile& partial;
    const store::BlobLock& lock;
    registry::Registry& registry;
    registry::BlobSource& source;
    const io::Clock& clock;
    RateLimit& rate_limit;
    RateLimit& job_rate_limit;
    std::uint64_t job;
    unsigned connections;                              // 0: as many as the next says
    const std::atomic<unsigned>* default_connections;  // may change meanwhile; nullptr or 0: found out
    std::optional<unsigned> max_retries;
    ProgressSink& sink;
    BlobRef blob;
    BlobGauge& gauge;
    std::atomic<std::uint64_t>& retries;
    std::chrono::milliseconds checkpoint_interval;
  };

  explicit Transfer(Parts parts) : parts_(parts) {}

  TransferResult run(ChunkPlan plan, std::optional<io::Sha256::Midstate> front, unsigned restarts,
                     std::stop_token stop);

 private:
  Parts parts_;
};

}  // namespace pullama::engine
