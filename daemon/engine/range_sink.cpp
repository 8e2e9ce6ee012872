#include "daemon/engine/range_sink.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "daemon/engine/group_verify.h"

namespace pullama::engine {
namespace {

// Nearly doubles the rate over small writes; larger ones bring nothing (measured).
constexpr std::size_t kGatherBytes = 256 << 10;
constexpr auto kStallLimit = std::chrono::seconds(30);
// On a slow line bytes are written at least this often: what is only gathered goes with a kill.
constexpr auto kFlushEvery = std::chrono::milliseconds(50);

}  // namespace

RangeSink::RangeSink(ConnectionContext& context, unsigned id, std::stop_token stop)
    : context_(context), id_(id), stop_(std::move(stop)), buffer_(kGatherBytes) {}

void RangeSink::begin(const Claim& claim) {
  filled_ = 0;
  position_ = buffer_offset_ = claim.begin;
  state_loaded_ = false;
  whole_body_ = false;
  ended_ = Ended::kNo;
  last_byte_ = last_flush_ = context_.clock.now();
  generation_ = context_.generation();
}

bool RangeSink::stop_with(Ended why) {
  ended_ = why;
  return false;
}

bool RangeSink::on_whole_body() {
  whole_body_ = context_.state.take_whole_body(id_);
  return whole_body_;
}

bool RangeSink::admit(std::uint64_t bytes) {
  if (ended_ != Ended::kNo) return false;
  if (!context_.job_rate_limit.take(context_.job, bytes, stop_) ||
      !context_.rate_limit.take(context_.job, bytes, stop_)) {
    return stop_with(Ended::kStopped);
  }
  last_byte_ = context_.clock.now();
  return true;
}

bool RangeSink::on_skipped(std::uint64_t bytes) { return admit(bytes); }

bool RangeSink::on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!admit(bytes.size())) return false;
  if (whole_body_ && !context_.state.wait_for_window(offset, stop_)) return stop_with(Ended::kStopped);
  last_byte_ = context_.clock.now();
  if (filled_ > 0 && offset != buffer_offset_ + filled_) flush();
  if (filled_ == 0) buffer_offset_ = offset;
  if (filled_ == 0 && bytes.size() >= kGatherBytes) return write(offset, bytes);
  while (!bytes.empty()) {
    const std::size_t n = std::min(bytes.size(), kGatherBytes - filled_);
    std::memcpy(buffer_.data() + filled_, bytes.data(), n);
    filled_ += n;
    bytes = bytes.subspan(n);
    if (filled_ == kGatherBytes) {
      flush();
      if (ended_ != Ended::kNo) return false;
    }
  }
  flush_if_due(last_byte_);
  return ended_ == Ended::kNo;
}

bool RangeSink::on_tick() {
  if (stop_.stop_requested()) return stop_with(Ended::kStopped);
  const auto now = context_.clock.now();
  flush_if_due(now);
  if (ended_ != Ended::kNo) return false;
  if (context_.generation() != generation_) return stop_with(Ended::kSuspended);
  if (now - last_byte_ >= kStallLimit) return stop_with(Ended::kStalled);
  if (context_.state.slow(id_)) return stop_with(Ended::kSlow);
  if (context_.state.surplus(id_)) return stop_with(Ended::kRangeGone);
  return true;
}

void RangeSink::flush_if_due(io::Clock::SteadyTime now) {
  if (filled_ > 0 && now - last_flush_ >= kFlushEvery) flush();
}

void RangeSink::flush() {
  const std::size_t n = std::exchange(filled_, 0);
  const std::uint64_t offset = buffer_offset_;
  buffer_offset_ += n;
  last_flush_ = context_.clock.now();
  if (n > 0 && ended_ != Ended::kFailed) write(offset, std::span<const std::byte>(buffer_).first(n));
}

bool RangeSink::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  buffer_offset_ = offset + bytes.size();
  while (!bytes.empty()) {
    const auto room = context_.state.writable(id_, offset);
    if (room.end <= offset) {
      if (room.skip_to <= offset) return stop_with(Ended::kRangeGone);
      // A whole body passes over what is there already.
      const auto skip = static_cast<std::size_t>(std::min<std::uint64_t>(room.skip_to - offset, bytes.size()));
      offset += skip;
      bytes = bytes.subspan(skip);
      position_ = offset;
      state_loaded_ = false;
      continue;
    }
    if (!std::exchange(state_loaded_, true)) state_ = context_.state.take_running(offset);
    const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(room.end - offset, bytes.size()));
    const auto piece = bytes.first(n);
    if (auto written = context_.file.write_at(offset, piece); !written) {
      context_.state.fail_with(written.error());
      return stop_with(Ended::kFailed);
    }
    state_.update(piece);
    const auto committed = context_.state.commit(id_, offset, n, state_);
    offset += n;
    position_ = offset;
    bytes = bytes.subspan(n);
    if (committed.chunk_complete) state_loaded_ = false;
    if (committed.group &&
        !verify_group(context_.state, context_.file, *committed.group, context_.blob, context_.sink)) {
      return stop_with(Ended::kFailed);
    }
  }
  return true;
}

}  // namespace pullama::engine
