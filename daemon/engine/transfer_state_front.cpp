// The half of TransferState that the hasher, the resume check and the checkpoint writer use.

#include <algorithm>
#include <utility>

#include "daemon/engine/checkpoint.h"
#include "daemon/engine/transfer_state.h"

namespace pullama::engine {
namespace {

constexpr std::uint64_t kUnsyncedLimit = 256ULL << 20;
constexpr std::uint64_t kWriteBackBytes = 8ULL << 20;

}  // namespace

bool TransferState::writer_is_due_locked() const {
  return unsynced_ >= kUnsyncedLimit || written_bytes_ >= kWriteBackBytes;
}

std::optional<ChunkPlan::Group> TransferState::group(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  if (index >= plan_.groups().size()) return std::nullopt;
  return plan_.groups()[index];
}

std::vector<std::size_t> TransferState::groups_to_verify() const {
  const std::lock_guard lock(mutex_);
  return plan_.groups_to_verify();
}

void TransferState::group_verified(std::size_t index) {
  const std::lock_guard lock(mutex_);
  if (index < plan_.groups().size()) plan_.group_verified(index);
  ++change_;
  front_cv_.notify_all();
}

GroupMismatch TransferState::group_mismatch(std::size_t index) {
  const std::lock_guard lock(mutex_);
  GroupMismatch result;
  if (index >= plan_.groups().size()) return result;
  result.count = plan_.groups()[index].mismatches + 1;
  const bool others_are_right = std::any_of(plan_.groups().begin(), plan_.groups().end(),
                                            [](const ChunkPlan::Group& group) { return group.verified; });
  // Three on a blob whose other chunks are right: the list is wrong there. Six in any case. The blob's digest decides
  // then.
  if ((result.count >= 3 && others_are_right) || result.count >= 6) {
    result.dropped = true;
    plan_.drop_groups();
  } else {
    plan_.group_mismatch(index);
  }
  ++change_;
  work_.notify_all();
  front_cv_.notify_all();
  return result;
}

std::optional<FrontWork> TransferState::wait_for_front(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  std::uint64_t end = front_;
  const auto ready = [&] {
    if (end_ != End::kRunning) return true;
    end = plan_.ready_end(front_);
    // Whole blocks of the hash only, so that there is a midstate to keep.
    if (end != plan_.size_bytes()) end &= ~std::uint64_t{63};
    return end > front_ || (front_ == plan_.size_bytes() && !hashed_right_);
  };
  if (!ready()) hasher_waited_at_ = front_;
  if (!front_cv_.wait(lock, stop, ready) || end_ != End::kRunning || stop.stop_requested()) return std::nullopt;
  return FrontWork{front_, std::max(end, front_), front_generation_};
}

bool TransferState::advance_front(std::uint64_t generation, std::uint64_t offset,
                                  const std::optional<io::Sha256::Midstate>& midstate) {
  const std::lock_guard lock(mutex_);
  if (generation != front_generation_) return false;
  front_ = offset;
  if (midstate) midstate_ = midstate;
  ++change_;
  work_.notify_all();
  return true;
}

std::optional<io::Sha256::Midstate> TransferState::midstate() const {
  const std::lock_guard lock(mutex_);
  return midstate_;
}

void TransferState::restart_front_locked() {
  front_ = hasher_waited_at_ = 0;
  midstate_.reset();
  hashed_right_ = false;
  ++front_generation_;
  ++change_;
}

std::vector<UncheckedChunk> TransferState::unchecked() const {
  const std::lock_guard lock(mutex_);
  std::vector<UncheckedChunk> past_front, before;
  for (const ChunkPlan::Chunk& chunk : plan_.chunks()) {
    if (chunk.checked) continue;
    (chunk.end > front_ ? past_front : before).push_back({chunk.start, chunk.received, chunk.xxh3});
  }
  past_front.insert(past_front.end(), before.begin(), before.end());
  return past_front;
}

void TransferState::mark_checked(std::uint64_t start, const io::Xxh128& found) {
  const std::lock_guard lock(mutex_);
  plan_.mark_checked(start, found);
  ++change_;
  front_cv_.notify_all();
}

void TransferState::mark_rotten(std::uint64_t start) {
  const std::lock_guard lock(mutex_);
  plan_.discard(start);
  if (start < front_) restart_front_locked();
  ++change_;
  work_.notify_all();
  front_cv_.notify_all();
}

bool TransferState::wait_for_writer(std::chrono::milliseconds every, std::vector<Claim>& write_back, bool& due,
                                    std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool woken =
      writer_cv_.wait_for(lock, stop, every, [&] { return end_ != End::kRunning || writer_is_due_locked(); });
  due = !woken || unsynced_ >= kUnsyncedLimit;
  write_back = std::exchange(written_, {});
  written_bytes_ = 0;
  return !stop.stop_requested() && end_ == End::kRunning;
}

void TransferState::sync_begins() {
  const std::lock_guard lock(mutex_);
  unsynced_ = 0;
}

std::optional<Snapshot> TransferState::snapshot(const CheckpointHead& head, std::uint64_t since_change) const {
  const std::lock_guard lock(mutex_);
  if (change_ == since_change) return std::nullopt;
  return Snapshot{format_checkpoint(head.digest, head.inode, head.length_bytes, head.restarts, midstate_, plan_),
                  plan_.received_bytes(), change_};
}

std::optional<Claim> TransferState::mergeable() {
  const std::lock_guard lock(mutex_);
  if (plan_.entries() <= ChunkPlan::kMaxChunks) return std::nullopt;
  return plan_.mergeable(front_);
}

void TransferState::merge(Claim range, const io::Xxh128& xxh3) {
  const std::lock_guard lock(mutex_);
  plan_.merge(range, xxh3);
  ++change_;
}

}  // namespace pullama::engine
