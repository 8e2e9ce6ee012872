#pragma once
// The checkpoint of a download, .pullm/sha256-<hex>.json: what is durable of a partial. Pure: text in, text out.
//
// Format, version 2, one JSON object on one line:
//   {"version":2,"digest":"sha256:…","size":N,          the blob
//    "inode":N,"length":N,                               of the partial that it speaks of
//    "chunk_bytes":N,                                    chunk size where there are no chunksums
//    "restarts":N,                                       whole downloads that ended in a wrong digest
//    "front":{"offset":N,"sha256":"<64 hex>"},           state words of SHA-256 over bytes 0 to offset (a multiple of
//    64) "chunks":[{"start":N,"end":N,"received":N,          end is inclusive; received from start on
//               "xxh3":"<32 hex>","adopted":true,        XXH3-128 of the received bytes; absent where they were not
//               "unverified":true}, …],                  read yet. unverified: the registry's digest is to be compared
//    "chunksums":true,                                   the registry has a list of digests, which is fetched again
//    "checksum":"<32 hex>"}                              XXH3-128 of the text before `,"checksum"`
// Chunks are contiguous from 0 to size. The checkpoint is saved after the partial was synced, so it never claims a byte
// that a power cut could take.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/engine/chunk_plan.h"
#include "daemon/io/sha256.h"

namespace pullama::engine {

inline constexpr std::uint64_t kMaxCheckpointBytes = 1ULL << 20;

struct Checkpoint {
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::uint64_t inode = 0;
  std::uint64_t length_bytes = 0;
  unsigned restarts = 0;
  std::optional<io::Sha256::Midstate> front;
  ChunkPlan plan;
};

// `plan` is only read. Parts of a chunk that are claimed are written as received so far.
std::string format_checkpoint(const Digest& digest, std::uint64_t inode, std::uint64_t length_bytes, unsigned restarts,
                              const std::optional<io::Sha256::Midstate>& front, const ChunkPlan& plan);

// kCorrupt with what is wrong. Everything in it is checked against itself, the digest and the size; comparing inode and
// length with the partial is the caller's. All chunks come back unchecked.
Result<Checkpoint> parse_checkpoint(std::string_view text, const Digest& digest, std::uint64_t size_bytes);

// Version 1, of the original pullama: chunks with "verified" flags, of which only the leading run counts. The bytes are
// adopted.
// Whether the text says that it is one.
bool states_version_1(std::string_view text);
Result<Checkpoint> parse_checkpoint_v1(std::string_view text, const Digest& digest, std::uint64_t size_bytes,
                                       std::uint64_t chunk_bytes);

// A plan of which [begin, end) each are there, from another program: adopted and unchecked. Ranges may be in any order,
// are clamped to the blob, and overlap is ignored.
ChunkPlan adopted_plan(std::uint64_t size_bytes, std::uint64_t chunk_bytes, std::vector<Claim> present);

}  // namespace pullama::engine
