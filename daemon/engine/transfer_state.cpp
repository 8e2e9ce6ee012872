#include "daemon/engine/transfer_state.h"

#include <algorithm>

namespace pullama::engine {
TransferState::TransferState(ChunkPlan plan, std::optional<io::Sha256::Midstate> front, unsigned fixed_connections,
                             const io::Clock& clock)
    : clock_(clock),
      plan_(std::move(plan)),
      count_(fixed_connections),
      front_(front ? front->length_bytes : 0),
      hasher_waited_at_(front_),
      midstate_(front),
      rate_since_(clock.now()) {}

unsigned TransferState::enter() {
  const std::lock_guard lock(mutex_);
  return workers_.enter(clock_.now());
}

void TransferState::leave(unsigned id) {
  const std::lock_guard lock(mutex_);
  workers_.leave(id);
  if (single_owner_ == id) single_owner_.reset();
  work_.notify_all();
}

std::uint64_t TransferState::window_locked() const {
  return front_ - hasher_waited_at_ >= kHasherBusyBytes ? kBusyWindowBytes : kWindowBytes;
}

std::uint64_t TransferState::limit_locked() const {
  // In whole requests: a limit that crept along with the front would be asked for a MiB at a time.
  return std::max((front_ + window_locked()) / kMaxRequestBytes * kMaxRequestBytes,
                  plan_.group_end(std::min(front_, plan_.size_bytes())));
}

std::uint64_t TransferState::window_end() const {
  const std::lock_guard lock(mutex_);
  return limit_locked();
}

void TransferState::rebalance_locked() {
  if (single_ || end_ != End::kRunning || plan_.anything_unclaimed(limit_locked())) return;
  unsigned idle = workers_.idle();
  std::optional<std::uint64_t> holding;
  if (plan_.anything_unclaimed(plan_.size_bytes())) {
    // The window is full: because the hasher is behind, or because of the one range that it waits for.
    holding = plan_.ready_end(front_);
    if (*holding - front_ > kMaxRequestBytes) return;
    idle = std::min(idle, 1U);
  }
  for (; idle > 0; --idle) {
    const auto taken = workers_.split_longest(clock_.now(), holding);
    if (!taken) return;
    plan_.split(taken->begin, taken->end);
    work_.notify_all();
  }
}

std::optional<Claim> TransferState::claim(unsigned id, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested() && end_ == End::kRunning) {
    if (workers_.count() > count_.target() || (single_ && workers_.count() > 1)) return std::nullopt;
    std::optional<Claim> claim;
    if (single_) {
      claim = plan_.claim_rest();
    } else {
      // Small enough that every connection has something to do, large enough that round trips do not matter.
      const std::uint64_t missing = plan_.size_bytes() - plan_.received_bytes();
      const std::uint64_t request = std::clamp(missing / (2 * std::uint64_t{count_.target()}) & ~std::uint64_t{0xffff},
                                               kMinRequestBytes, kMaxRequestBytes);
      claim = plan_.claim(limit_locked(), request, workers_.at(id).previous_end);
    }
    if (claim) {
      workers_.begin(id, *claim, clock_.now());
      return claim;
    }
    if (!plan_.all_received() && plan_.ready_end(front_) - front_ > window_locked() / 2) count_.on_window_full();
    work_.wait(lock, stop, [&] {
      return end_ != End::kRunning || workers_.count() > count_.target() || plan_.anything_unclaimed(limit_locked());
    });
  }
  return std::nullopt;
}

Writable TransferState::writable(unsigned id, std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const Worker& worker = workers_.at(id);
  if (offset >= worker.claim.end || end_ != End::kRunning) return {offset, offset};
  const ChunkPlan::Chunk* chunk = plan_.chunk_at(offset);
  if (!chunk->complete() && chunk->claim != worker.claim.id) return {offset, offset};
  if (chunk->complete() || chunk->next() > offset) {
    return {offset, chunk->complete() ? chunk->end : chunk->next()};
  }
  return {std::min(worker.claim.end, chunk->end), offset};
}

io::Xxh3 TransferState::take_running(std::uint64_t offset) {
  const std::lock_guard lock(mutex_);
  return plan_.take_running(offset);
}

Committed TransferState::commit(unsigned id, std::uint64_t offset, std::uint64_t bytes, const io::Xxh3& state) {
  const std::lock_guard lock(mutex_);
  Committed result;
  result.group = plan_.commit(offset, bytes, state);
  result.chunk_complete = plan_.chunk_at(offset)->complete();
  Worker& worker = workers_.at(id);
  worker.position = offset + bytes;
  worker.bytes += bytes;
  travelled_ += bytes;
  unsynced_ += bytes;
  ++change_;
  if (!written_.empty() && written_.back().end == offset) {
    written_.back().end += bytes;
  } else {
    written_.push_back({offset, offset + bytes});
  }
  written_bytes_ += bytes;
  if (writer_is_due_locked()) writer_cv_.notify_all();
  front_cv_.notify_all();
  return result;
}

void TransferState::release(unsigned id, std::uint64_t at, std::optional<io::Xxh3> state) {
  const std::lock_guard lock(mutex_);
  plan_.release(workers_.at(id).claim, at, std::move(state));
  if (single_owner_ == id) single_owner_.reset();
  workers_.end(id, clock_.now());
  work_.notify_all();
}

void TransferState::expect_whole_body() {
  const std::lock_guard lock(mutex_);
  single_ = true;
}

bool TransferState::take_whole_body(unsigned id) {
  const std::lock_guard lock(mutex_);
  single_ = true;
  // Only from the first missing byte on, and once the others have given their ranges back, is there one consistent
  // claim.
  if (workers_.count() > 1) {
    work_.notify_all();
    return false;
  }
  Worker& worker = workers_.at(id);
  if (single_owner_ && *single_owner_ != id) return false;
  if (worker.claim.begin != plan_.first_missing()) return false;
  const auto rest = plan_.claim_rest();
  if (!rest) return false;
  worker.claim = *rest;
  single_owner_ = id;
  return true;
}

bool TransferState::wait_for_window(std::uint64_t offset, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  work_.wait(lock, stop, [&] { return end_ != End::kRunning || offset < limit_locked(); });
  return !stop.stop_requested() && end_ == End::kRunning;
}

bool TransferState::surplus(unsigned id) const {
  const std::lock_guard lock(mutex_);
  return count_.fixed() && workers_.older_than(id) >= count_.target();
}

bool TransferState::slow(unsigned id) const {
  const std::lock_guard lock(mutex_);
  return workers_.at(id).slow;
}

void TransferState::on_throttled() {
  const std::lock_guard lock(mutex_);
  count_.on_throttled(clock_.now());
  work_.notify_all();
}

std::uint64_t TransferState::connection_bytes(unsigned id) const {
  const std::lock_guard lock(mutex_);
  return workers_.at(id).bytes;
}

void TransferState::end_locked(End how) {
  if (end_ == End::kRunning) end_ = how;
  work_.notify_all();
  front_cv_.notify_all();
  writer_cv_.notify_all();
  end_cv_.notify_all();
}

void TransferState::complete_if_hashed_and_checked(bool digest_is_right) {
  const std::lock_guard lock(mutex_);
  if (digest_is_right) hashed_right_ = true;
  if (hashed_right_ && plan_.all_received() && plan_.all_checked()) end_locked(End::kComplete);
}

void TransferState::end(End how) {
  const std::lock_guard lock(mutex_);
  end_locked(how);
}

void TransferState::fail_with(Error error) {
  const std::lock_guard lock(mutex_);
  if (end_ == End::kRunning) error_ = std::move(error);
  end_locked(End::kFailed);
}

bool TransferState::wait_for_end(std::chrono::milliseconds tick, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const bool ended = end_cv_.wait_for(lock, stop, tick, [&] { return end_ != End::kRunning; });
  return ended || stop.stop_requested();
}

TransferState::End TransferState::ended() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

std::optional<Error> TransferState::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void TransferState::sample(bool throttled) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.now();
  workers_.sample(now, throttled);
  rebalance_locked();
  const unsigned busy = workers_.receiving();
  // A rate counts once the connections of the last step all receive.
  if (throttled || busy != rate_connections_ || busy < count_.target()) {
    rate_connections_ = busy;
    rate_since_ = now;
    rate_from_ = travelled_;
    return;
  }
  const double seconds = std::chrono::duration<double>(now - rate_since_).count();
  if (!count_.on_rate(static_cast<double>(travelled_ - rate_from_) / seconds, seconds)) return;
  rate_since_ = now;
  rate_from_ = travelled_;
  work_.notify_all();
}

void TransferState::set_connections(unsigned fixed) {
  const std::lock_guard lock(mutex_);
  count_.fix(fixed);
  if (workers_.count() > count_.target()) work_.notify_all();
}

unsigned TransferState::missing_connections() const {
  const std::lock_guard lock(mutex_);
  if (end_ != End::kRunning || plan_.all_received()) return 0;
  const unsigned wanted = single_ ? 1 : count_.target();
  const auto have = workers_.count();
  if (have >= wanted) return 0;
  // No more connections than pieces that are worth one.
  const std::uint64_t missing = plan_.size_bytes() - plan_.received_bytes();
  const std::uint64_t useful = std::max<std::uint64_t>(1, missing / kMinRequestBytes);
  return static_cast<unsigned>(std::min<std::uint64_t>(wanted, useful)) > have
             ? static_cast<unsigned>(std::min<std::uint64_t>(wanted, useful)) - have
             : 0;
}

unsigned TransferState::connections() const {
  const std::lock_guard lock(mutex_);
  return workers_.count();
}

std::uint64_t TransferState::received_bytes() const {
  const std::lock_guard lock(mutex_);
  return plan_.received_bytes();
}

std::uint64_t TransferState::travelled_bytes() const {
  const std::lock_guard lock(mutex_);
  return travelled_;
}

ChunkPlan TransferState::take_plan() {
  const std::lock_guard lock(mutex_);
  return std::move(plan_);
}

}  // namespace pullama::engine
