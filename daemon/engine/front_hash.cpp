#include "daemon/engine/front_hash.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace pullama::engine {
namespace {

// Fits the second-level cache together with what is being copied; larger blocks were slower.
constexpr std::size_t kBlockBytes = 256 << 10;

}  // namespace

void run_front_hash(TransferState& state, io::File& file, const Digest& expected, std::uint64_t size_bytes,
                    std::stop_token stop) {
  std::vector<std::byte> block(kBlockBytes);
  io::Sha256 hash;
  std::optional<std::uint64_t> generation;
  while (auto work = state.wait_for_front(stop)) {
    if (generation != work->generation) {
      // The first round, or the front starts over: what was hashed counts no more.
      const auto midstate = state.midstate();
      hash = midstate && midstate->length_bytes == work->begin ? io::Sha256(*midstate) : io::Sha256();
      generation = work->generation;
    }
    if (work->begin == size_bytes) {
      if (hash.digest() == expected) {
        state.complete_if_hashed_and_checked(true);
        // What is still being checked may yet send the front back.
        if (state.ended() != TransferState::End::kRunning) return;
      } else {
        state.end(TransferState::End::kWrongDigest);
        return;
      }
      continue;
    }
    std::uint64_t at = work->begin;
    while (at < work->end && !stop.stop_requested()) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kBlockBytes, work->end - at));
      auto got = file.read_at(at, std::span(block).first(length));
      if (!got || *got != length) {
        state.fail_with(got ? Error{ErrorCode::kInternal,
                                    fmt::format("the partial of {} became shorter while it was hashed", expected.str()),
                                    "pull again", 0}
                            : got.error());
        return;
      }
      hash.update(std::span<const std::byte>(block).first(length));
      at += length;
      if (!state.advance_front(*generation, at, hash.midstate())) break;
    }
  }
}

}  // namespace pullama::engine
