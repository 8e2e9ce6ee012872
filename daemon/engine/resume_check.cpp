#include "daemon/engine/resume_check.h"

#include <algorithm>
#include <vector>

#include "daemon/engine/group_verify.h"

namespace pullama::engine {

void run_resume_check(TransferState& state, io::File& file, const BlobRef& blob, ProgressSink& sink,
                      std::stop_token stop) {
  // Whole before the crash, but not yet verified then.
  for (const std::size_t group : state.groups_to_verify()) {
    if (stop.stop_requested() || !verify_group(state, file, group, blob, sink)) return;
  }
  std::vector<std::byte> block(256 << 10);
  for (const UncheckedChunk& chunk : state.unchecked()) {
    io::Xxh3 hash;
    bool readable = true;
    const std::uint64_t end = chunk.start + chunk.bytes;
    for (std::uint64_t at = chunk.start; at < end && readable;) {
      if (stop.stop_requested() || state.ended() != TransferState::End::kRunning) return;
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), end - at));
      const auto got = file.read_at(at, std::span(block).first(length));
      // A sector that cannot be read is as good as rotten: it is written anew.
      readable = got && *got == length;
      if (readable) hash.update(std::span<const std::byte>(block).first(length));
      at += length;
    }
    if (readable && (!chunk.xxh3 || hash.digest() == *chunk.xxh3)) {
      state.mark_checked(chunk.start, hash.digest());
    } else {
      state.mark_rotten(chunk.start);
      sink.report(ChunkMismatch{blob, chunk.start, end - 1, 1, 6});
    }
  }
  state.complete_if_hashed_and_checked(false);
}

}  // namespace pullama::engine
