#include "daemon/engine/checkpoint_writer.h"

#include <algorithm>
#include <vector>

#include "daemon/io/atomic_write.h"
#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

using std::chrono::milliseconds;

// Less is not worth the wear of a checkpoint before its interval is over.
constexpr std::uint64_t kWorthBytes = 8ULL << 20;

// What is received since the last one travels twice after a kill: as often as a twentieth of the time allows.
milliseconds pause_after(std::chrono::steady_clock::duration cost, milliseconds longest) {
  return std::clamp(std::chrono::duration_cast<milliseconds>(20 * cost), longest / 4, longest);
}

}  // namespace

CheckpointWriter::CheckpointWriter(io::FileSystem& fs, PartialFile& partial, const store::BlobLock& lock,
                                   TransferState& state, BlobRef blob, unsigned restarts,
                                   std::chrono::milliseconds interval, ProgressSink& sink)
    : fs_(fs),
      partial_(partial),
      lock_(lock),
      state_(state),
      blob_(blob),
      head_{blob.digest, partial.stat_at_open().inode, blob.size_bytes, restarts},
      interval_(interval),
      sink_(sink) {}

bool CheckpointWriter::still_ours() {
  const auto lock = lock_.still_ours();
  const auto file = partial_.still_at_its_path();
  return lock && *lock && file && *file;
}

void CheckpointWriter::merge_chunks() {
  std::vector<std::byte> block(256 << 10);
  while (const auto range = state_.mergeable()) {
    io::Xxh3 hash;
    for (std::uint64_t at = range->begin; at < range->end;) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), range->end - at));
      const auto got = partial_.file().read_at(at, std::span(block).first(length));
      if (!got || *got != length) return;
      hash.update(std::span<const std::byte>(block).first(length));
      at += length;
    }
    state_.merge(*range, hash.digest());
  }
}

Status CheckpointWriter::save() {
  merge_chunks();
  state_.sync_begins();
  const auto snapshot = state_.snapshot(head_, saved_change_);
  if (!snapshot) return {};
  if (auto synced = partial_.file().sync_data(); !synced) return synced;
  const std::string path = store::checkpoint_path(blob_.digest);
  auto written = io::atomic_write(fs_, path, snapshot->text, 0600);
  if (!written && io::is_missing(written.error())) {
    // Somebody removed .pullm, which is always safe.
    if (auto made = fs_.make_directories(store::kStateDir); !made) return made;
    written = io::atomic_write(fs_, path, snapshot->text, 0600);
  }
  if (!written) return written;
  saved_change_ = snapshot->change;
  sink_.report(CheckpointSaved{blob_, snapshot->received});
  return {};
}

void CheckpointWriter::run(std::stop_token stop) {
  std::vector<Claim> write_back;
  bool due = false;
  auto saved_at = std::chrono::steady_clock::now();
  std::uint64_t saved_bytes = state_.travelled_bytes();
  auto pause = interval_ / 4;
  while (true) {
    const auto since =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - saved_at);
    const auto wait = std::max(std::chrono::milliseconds(0), pause - since);
    if (!state_.wait_for_writer(wait, write_back, due, stop)) return;
    for (const Claim& range : write_back) partial_.file().start_write_back(range.begin, range.bytes());
    if (!due) continue;
    const auto begin = std::chrono::steady_clock::now();
    const std::uint64_t travelled = state_.travelled_bytes();
    if (begin - saved_at < interval_ && travelled - saved_bytes < kWorthBytes) {
      pause += std::max(interval_ / 4, milliseconds(1));
      continue;
    }
    if (!still_ours()) {
      state_.end(TransferState::End::kLockLost);
      return;
    }
    if (auto status = save(); !status) {
      state_.fail_with(status.error());
      return;
    }
    saved_at = std::chrono::steady_clock::now();
    saved_bytes = travelled;
    pause = pause_after(saved_at - begin, interval_);
  }
}

}  // namespace pullama::engine
