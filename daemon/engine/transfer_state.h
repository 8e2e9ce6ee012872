#pragma once
// What the threads of one blob's transfer share: connections that ask for work and commit bytes, the hasher that moves
// the front, the checkpoint writer, the resume check. One mutex; every wait ends at once on a stop.
//
// The window: nothing is asked for more than kWindowBytes past the front, so neither hashing nor dirty pages fall far
// behind.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include "common/result.h"
#include "daemon/engine/chunk_plan.h"
#include "daemon/engine/connection_count.h"
#include "daemon/engine/transfer_parts.h"
#include "daemon/engine/workers.h"
#include "daemon/io/clock.h"
#include "daemon/io/sha256.h"

namespace pullama::engine {

inline constexpr std::uint64_t kWindowBytes = 256ULL << 20;
// Once the hasher has had kHasherBusyBytes without a pause it is what limits, and a short window costs nothing: what it
// is behind by is what the end of the blob waits for.
inline constexpr std::uint64_t kHasherBusyBytes = 192ULL << 20;
inline constexpr std::uint64_t kBusyWindowBytes = 96ULL << 20;
inline constexpr std::uint64_t kMaxRequestBytes = 16ULL << 20;
inline constexpr std::uint64_t kMinRequestBytes = 1ULL << 20;

class TransferState {
 public:
  enum class End { kRunning, kComplete, kWrongDigest, kLockLost, kFailed };

  TransferState(ChunkPlan plan, std::optional<io::Sha256::Midstate> front, unsigned fixed_connections,
                const io::Clock& clock);

  // --- Connections. `id` from enter() until leave().
  unsigned enter();
  void leave(unsigned id);
  // Waits for bytes to fetch; nullopt: the connection is not needed any more (or the transfer ended, or stop).
  std::optional<Claim> claim(unsigned id, std::stop_token stop);
  Writable writable(unsigned id, std::uint64_t offset);
  io::Xxh3 take_running(std::uint64_t offset);
  Committed commit(unsigned id, std::uint64_t offset, std::uint64_t bytes, const io::Xxh3& state);
  // The claim is given back; `at` and `state`: how far its last chunk came.
  void release(unsigned id, std::uint64_t at, std::optional<io::Xxh3> state);
  // The server is known to send whole bodies only: one connection from the start.
  void expect_whole_body();
  // The server sends whole bodies only. True for the one connection that may take one; the others then find no work.
  bool take_whole_body(unsigned id);
  // Waits until `offset` is inside the window; false on stop or end.
  bool wait_for_window(std::uint64_t offset, std::stop_token stop);
  bool slow(unsigned id) const;
  // One more than was asked for since it began: it is to give its claim back and leave.
  bool surplus(unsigned id) const;
  void on_throttled();
  std::uint64_t connection_bytes(unsigned id) const;

  // --- Chunks with digests.
  // nullopt once the list was dropped: another connection may do that at any moment.
  std::optional<ChunkPlan::Group> group(std::size_t index) const;
  std::vector<std::size_t> groups_to_verify() const;
  void group_verified(std::size_t index);
  GroupMismatch group_mismatch(std::size_t index);

  // --- The hasher.
  // Waits for contiguous bytes past the front; nullopt on stop or end. Empty range: all of the blob is hashed.
  std::optional<FrontWork> wait_for_front(std::stop_token stop);
  // False when the front was started over meanwhile.
  bool advance_front(std::uint64_t generation, std::uint64_t offset,
                     const std::optional<io::Sha256::Midstate>& midstate);
  std::optional<io::Sha256::Midstate> midstate() const;

  // --- The resume check.
  // In the order in which they are wanted: from the front on, then from 0.
  std::vector<UncheckedChunk> unchecked() const;
  void mark_checked(std::uint64_t start, const io::Xxh128& found);
  void mark_rotten(std::uint64_t start);

  // --- The checkpoint writer.
  // Waits until a checkpoint is due (`every`, or enough bytes not yet synced) or bytes are to be written back; false on
  // stop or end.
  bool wait_for_writer(std::chrono::milliseconds every, std::vector<Claim>& write_back, bool& due, std::stop_token);
  // What was received so far counts as synced, until the next checkpoint is due.
  void sync_begins();
  // nullopt when there was no change since the one of that number.
  std::optional<Snapshot> snapshot(const CheckpointHead& head, std::uint64_t since_change) const;
  std::optional<Claim> mergeable();
  void merge(Claim range, const io::Xxh128& xxh3);

  // --- The supervisor.
  void complete_if_hashed_and_checked(bool digest_is_right);
  void end(End how);
  void fail_with(Error error);
  // True when the transfer has ended or stop; false after `tick`.
  bool wait_for_end(std::chrono::milliseconds tick, std::stop_token stop);
  End ended() const;
  std::optional<Error> error() const;
  // Once every 100 ms: rates, slow connections, the connection count. `throttled`: rates say nothing about the line.
  void sample(bool throttled);
  // How many there are to be, as ConnectionCount takes it. Those that are too many are surplus() then.
  void set_connections(unsigned fixed);
  unsigned missing_connections() const;
  unsigned connections() const;
  std::uint64_t received_bytes() const;
  std::uint64_t travelled_bytes() const;  // every byte that was written, also those fetched again
  std::uint64_t window_end() const;
  ChunkPlan take_plan();  // after the threads are gone

 private:
  // Connections without work get the second half of what another will not have finished soon.
  void rebalance_locked();
  std::uint64_t window_locked() const;
  std::uint64_t limit_locked() const;
  void restart_front_locked();
  void end_locked(End how);
  bool writer_is_due_locked() const;

  const io::Clock& clock_;
  mutable std::mutex mutex_;              // guards everything below
  std::condition_variable_any work_;      // for connections
  std::condition_variable_any front_cv_;  // for the hasher
  std::condition_variable_any writer_cv_;
  std::condition_variable_any end_cv_;
  ChunkPlan plan_;
  ConnectionCount count_;
  Workers workers_;
  bool single_ = false;
  std::optional<unsigned> single_owner_;
  std::uint64_t front_ = 0;
  std::uint64_t hasher_waited_at_ = 0;  // the front when the hasher last had nothing to do
  std::uint64_t front_generation_ = 0;
  std::optional<io::Sha256::Midstate> midstate_;
  bool hashed_right_ = false;
  End end_ = End::kRunning;
  std::optional<Error> error_;
  std::uint64_t travelled_ = 0;
  std::uint64_t unsynced_ = 0;
  std::uint64_t change_ = 1;
  std::vector<Claim> written_;
  std::uint64_t written_bytes_ = 0;
  io::Clock::SteadyTime rate_since_;
  std::uint64_t rate_from_ = 0;
  unsigned rate_connections_ = 0;
};

}  // namespace pullama::engine
