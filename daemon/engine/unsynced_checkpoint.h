#pragma once
// Beside the checkpoint, which claims synced bytes only, a record of what was written, synced or not:
// .pullm/sha256-<hex>.unsynced. When the daemon is killed, what it wrote stays in the page cache, this file too; after
// a power cut some of either may be there. So the record is never taken at its word: where it says more than the
// checkpoint, the bytes are read and their XXH3 compared before it counts, and if one differs the checkpoint counts.
// Written a few dozen times a second and never synced, in two places of the file in turn, so that a kill amid a write
// leaves the other one whole.
//
// Format: at byte 0 and at kUnsyncedPlaceBytes, each a line and a checkpoint (checkpoint.h); what follows means
// nothing.
//   {"version":1,"sequence":N,"bytes":N,"xxh3":"<32 hex>"}\n
// The larger sequence is the newer record; bytes are the checkpoint's; XXH3-128 of the text before `,"xxh3"` and of the
// checkpoint.
// Nothing was promised, so what is wrong with a record is no error.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/result.h"
#include "daemon/engine/checkpoint.h"
#include "daemon/engine/partial_file.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/transfer_state.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

inline constexpr std::uint64_t kUnsyncedPlaceBytes = kMaxCheckpointBytes + 4096;

// The content of one place.
std::string format_unsynced(std::uint64_t sequence, std::string_view checkpoint);

struct Unsynced {
  std::uint64_t sequence = 0;
  Checkpoint checkpoint;
};
// The newest record of a file (its whole content) that is whole and of this digest and size.
std::optional<Unsynced> parse_unsynced(std::string_view file, const Digest& digest, std::uint64_t size_bytes);

// What the partial holds beyond `synced` (nullptr: no checkpoint), read and compared; nullopt when that is nothing,
// when it does not hold, or on stop.
std::optional<Checkpoint> load_unsynced(io::FileSystem& fs, PartialFile& partial, const BlobRef& blob,
                                        const Checkpoint* synced, const std::stop_token& stop);

// Missing is fine; what cannot be removed is compared before it counts.
void remove_unsynced(io::FileSystem& fs, const Digest& digest);

// Writes the record of one transfer.
class UnsyncedCheckpoint {
 public:
  // `interval`: of the checkpoints; the record comes up to fifty times as often, in at most a fiftieth of the time.
  UnsyncedCheckpoint(io::FileSystem& fs, const PartialFile& partial, TransferState& state, BlobRef blob,
                     unsigned restarts, std::chrono::milliseconds interval);

  // Until the transfer ends or stop. What cannot be written is left.
  void run(const std::stop_token& stop);

 private:
  Status write(std::string_view checkpoint);
  bool is_at_its_path() const;
  Status begin_file(std::uint64_t place, std::string_view text);

  io::FileSystem& fs_;
  TransferState& state_;
  const BlobRef blob_;
  const CheckpointHead head_;
  const std::chrono::milliseconds interval_;
  std::unique_ptr<io::File> file_;  // made by this transfer
  std::uint64_t sequence_ = 0;
};

}  // namespace pullama::engine
