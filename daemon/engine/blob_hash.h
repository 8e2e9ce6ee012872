#pragma once
// One pass over a blob's file: its SHA-256, and the XXH3 of its parts, which tell later which part is damaged.

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/file_system.h"
#include "daemon/store/ledger.h"

namespace pullama::engine {

// The grain at which a later repair can tell which part of a blob is damaged.
inline constexpr std::uint64_t kLedgerChunkBytes = 64ULL << 20;

struct BlobHash {
  Digest digest;
  std::vector<store::ChunkSum> sums;  // up to the first byte that could not be read
  bool whole = true;                  // the file has all the bytes that it should
};

// Ends of parts: where `known` has them, when it covers the blob without gaps; else every kLedgerChunkBytes. `on_bytes`
// is called with the count of each piece that was hashed. kCancelled on stop, at least every MiB.
Result<BlobHash> hash_blob(io::File& file, std::uint64_t size_bytes, const std::vector<store::ChunkSum>& known,
                           const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop);

// True where the sums stand for every byte from 0 to size, in order.
bool covers(const std::vector<store::ChunkSum>& sums, std::uint64_t size_bytes);

}  // namespace pullama::engine
