#pragma once
// What TransferState hands to the threads of a transfer, and takes back.

#include <cstdint>
#include <optional>
#include <string>

#include "common/digest.h"
#include "daemon/io/xxh3.h"

namespace pullama::engine {

// Where a connection may write at `offset`, up to where within its chunk and claim. `end == offset`: nothing there any
// more (the rest went to another connection, or it is complete already when `skip_to` > offset).
struct Writable {
  std::uint64_t end = 0;
  std::uint64_t skip_to = 0;
};

struct Committed {
  bool chunk_complete = false;
  std::optional<std::size_t> group;  // to be verified by the caller
};

struct GroupMismatch {
  unsigned count = 0;    // of this chunk so far
  bool dropped = false;  // chunksums are given up for this blob
};

// For the hasher. Empty range: all of the blob is hashed.
struct FrontWork {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t generation = 0;  // changes when the front starts over
};

// For the resume check: bytes on disk that nobody has compared yet.
struct UncheckedChunk {
  std::uint64_t start = 0, bytes = 0;
  std::optional<io::Xxh128> xxh3;
};

// What a checkpoint says besides what was received.
struct CheckpointHead {
  Digest digest;
  std::uint64_t inode = 0, length_bytes = 0;  // of the partial
  unsigned restarts = 0;
};

// The checkpoint as of now, before the sync that makes it true.
struct Snapshot {
  std::string text;
  std::uint64_t received = 0;
  std::uint64_t change = 0;  // another one with each change, from 1 on
};

}  // namespace pullama::engine
