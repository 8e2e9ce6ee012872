#pragma once
// What a download may begin with: our own checkpoint, one of the original pullama (version 1), or what an Ollama server
// left half-done. Looked for in this order, under the blob's lock. Nothing foreign is believed: adopted bytes count as
// unverified until the blob's digest is right.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "daemon/engine/checkpoint.h"
#include "daemon/engine/partial_file.h"
#include "daemon/engine/progress.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

struct Start {
  PartialFile partial;
  ChunkPlan plan;
  std::optional<io::Sha256::Midstate> front;
  unsigned restarts = 0;
};

// Opens (or makes) the partial and says what of it counts: what the checkpoint covers, and what was written after it
// and is still there (unsynced_checkpoint.h). A checkpoint that does not hold is reported (checkpoint.discarded),
// removed, and the blob starts over. Errors: the disk's, kLocked when another process has the partial.
Result<Start> find_start(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes, ProgressSink& sink,
                         const std::stop_token& stop);

// For a dry run: the bytes that find_start would count as there, but for those after the checkpoint. Changes nothing.
std::uint64_t present_bytes(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes);

}  // namespace pullama::engine
