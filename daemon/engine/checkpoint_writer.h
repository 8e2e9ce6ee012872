#pragma once
// Saves the checkpoint of a transfer beside the data path: once an interval; up to four times where 8 MiB came and it
// costs little; at 256 MiB not yet synced; and at the end of each transfer that is not complete. The partial is synced
// first, then what was received before that sync began is claimed.

#include <chrono>
#include <functional>
#include <stop_token>

#include "common/digest.h"
#include "daemon/engine/partial_file.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/file_system.h"
#include "daemon/store/blob_lock.h"

namespace pullama::engine {

class CheckpointWriter {
 public:
  CheckpointWriter(io::FileSystem& fs, PartialFile& partial, const store::BlobLock& lock, TransferState& state,
                   BlobRef blob, unsigned restarts, std::chrono::milliseconds interval, ProgressSink& sink);

  // Until the transfer ends or stop. A failed sync or write ends the transfer; the checkpoint on disk is then the last
  // good one. A lost lock or partial ends it with kLockLost.
  void run(std::stop_token stop);
  // Once more after all connections are gone; nothing where nothing changed.
  Status save();

 private:
  void merge_chunks();
  bool still_ours();

  io::FileSystem& fs_;
  PartialFile& partial_;
  const store::BlobLock& lock_;
  TransferState& state_;
  const BlobRef blob_;
  const CheckpointHead head_;
  const std::chrono::milliseconds interval_;
  ProgressSink& sink_;
  std::uint64_t saved_change_ = 0;
};

}  // namespace pullama::engine
