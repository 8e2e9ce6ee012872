#include "daemon/engine/group_verify.h"

#include <algorithm>
#include <vector>

#include "daemon/io/sha256.h"

namespace pullama::engine {
namespace {

constexpr unsigned kMaxMismatches = 6;

}  // namespace

bool verify_group(TransferState& state, io::File& file, std::size_t index, const BlobRef& blob, ProgressSink& sink) {
  const auto known = state.group(index);
  if (!known) return true;
  const ChunkPlan::Group& group = *known;
  io::Sha256 hash;
  std::vector<std::byte> block(256 << 10);
  for (std::uint64_t at = group.start; at < group.end;) {
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), group.end - at));
    auto got = file.read_at(at, std::span(block).first(length));
    if (!got || *got != length) {
      state.fail_with(got ? Error{ErrorCode::kInternal, "a partial became shorter while it was hashed", "pull again", 0}
                          : got.error());
      return false;
    }
    hash.update(std::span<const std::byte>(block).first(length));
    at += length;
  }
  if (hash.digest() == group.digest) {
    state.group_verified(index);
    sink.report(ChunkVerified{blob, group.start, group.end - 1});
    return true;
  }
  const auto mismatch = state.group_mismatch(index);
  if (mismatch.count > 0) {
    sink.report(ChunkMismatch{blob, group.start, group.end - 1, mismatch.count, kMaxMismatches});
  }
  return true;
}

}  // namespace pullama::engine
