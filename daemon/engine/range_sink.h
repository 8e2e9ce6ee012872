#pragma once
// Where the bytes of one connection go: gathered to pieces of 256 KiB, written at their offset, hashed (XXH3),
// committed. Watches for silence and slowness on the way. Belongs to its connection's thread.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/engine/connection.h"

namespace pullama::engine {

class RangeSink final : public registry::BlobSink {
 public:
  enum class Ended { kNo, kRangeGone, kStalled, kSlow, kSuspended, kFailed, kStopped };

  RangeSink(ConnectionContext& context, unsigned id, std::stop_token stop);

  void begin(const Claim& claim);
  // Writes what is gathered; after it, position() says how far the range came.
  void flush();
  // Why a fetch was ended from this side.
  Ended ended() const { return ended_; }
  std::uint64_t position() const { return position_; }
  // The XXH3 of the chunk at position() where this range wrote to it, to be given back with the claim.
  std::optional<io::Xxh3> take_state() {
    return std::exchange(state_loaded_, false) ? std::optional(std::move(state_)) : std::nullopt;
  }

  bool on_whole_body() override;
  bool on_skipped(std::uint64_t bytes) override;
  bool on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) override;
  bool on_tick() override;

 private:
  bool stop_with(Ended why);
  // Waits for the rate limits; silence is counted from then on.
  bool admit(std::uint64_t bytes);
  void flush_if_due(io::Clock::SteadyTime now);
  bool write(std::uint64_t offset, std::span<const std::byte> bytes);

  ConnectionContext& context_;
  const unsigned id_;
  const std::stop_token stop_;
  std::vector<std::byte> buffer_;
  std::size_t filled_ = 0;
  std::uint64_t buffer_offset_ = 0;
  std::uint64_t position_ = 0;  // next byte to be written
  io::Xxh3 state_;              // of the chunk at position_
  bool state_loaded_ = false;
  bool whole_body_ = false;
  Ended ended_ = Ended::kNo;
  io::Clock::SteadyTime last_byte_;
  io::Clock::SteadyTime last_flush_;
  std::uint64_t generation_ = 0;
};

}  // namespace pullama::engine
