#include "daemon/engine/blob_hash.h"

#include <algorithm>

#include "daemon/io/sha256.h"

namespace pullama::engine {
namespace {

constexpr std::size_t kBlockBytes = 1 << 20;

}  // namespace

bool covers(const std::vector<store::ChunkSum>& sums, std::uint64_t size_bytes) {
  std::uint64_t at = 0;
  for (const store::ChunkSum& sum : sums) {
    if (sum.start != at || sum.end < sum.start || sum.end >= size_bytes) return false;
    at = sum.end + 1;
  }
  return at == size_bytes;
}

Result<BlobHash> hash_blob(io::File& file, std::uint64_t size_bytes, const std::vector<store::ChunkSum>& known,
                           const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop) {
  const bool by_known = covers(known, size_bytes);
  io::Sha256 hash;
  io::Xxh3 chunk;
  std::vector<store::ChunkSum> sums;
  std::vector<std::byte> block(static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, size_bytes)));
  std::uint64_t start = 0;
  bool whole = true;
  for (std::uint64_t at = 0; at < size_bytes;) {
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while hashing");
    const std::uint64_t end = by_known ? known[sums.size()].end + 1 : std::min(start + kLedgerChunkBytes, size_bytes);
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), end - at));
    const auto got = file.read_at(at, std::span(block).first(length));
    if (!got) return fail(got.error());
    const auto bytes = std::span<const std::byte>(block).first(*got);
    hash.update(bytes);
    chunk.update(bytes);
    on_bytes(*got);
    if (*got != length) {
      whole = false;
      break;
    }
    at += length;
    if (at == end) {
      sums.push_back({start, end - 1, chunk.digest()});
      chunk = io::Xxh3();
      start = end;
    }
  }
  return BlobHash{hash.digest(), std::move(sums), whole};
}

}  // namespace pullama::engine
