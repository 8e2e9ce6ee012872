#include "daemon/engine/upload_chunks.h"

#include <fmt/format.h>

#include <algorithm>

namespace pullama::engine {

using registry::Fault;
using registry::Outcome;

namespace {

// A request that takes about this long is short enough to be let through when a stop comes, and long enough that the
// round trip does not matter.
constexpr auto kGrowBelow = std::chrono::milliseconds(400);
constexpr auto kShrinkAbove = std::chrono::milliseconds(1000);
constexpr std::uint64_t kSmallestBytes = 256ULL << 10, kFirstBytes = 4ULL << 20;
// Under a rate limit a request carries a quarter of a second's worth, paid for before it begins: between requests
// nothing is under way that a kill could break.
constexpr std::uint64_t kThrottledShare = 4;
constexpr std::uint64_t kSmallestThrottledBytes = 64ULL << 10;
// SHA-256 has a state to save at multiples of 64 only.
constexpr std::uint64_t kGrain = 4096;
// Ollama's parts.
constexpr std::uint64_t kOllamaParts = 16, kOllamaLeast = 100'000'000, kOllamaMost = 1'000'000'000;

Fault local_fault(Error error) {
  Fault fault;
  fault.kind = error.code == ErrorCode::kCancelled ? Fault::Kind::kStopped : Fault::Kind::kPermanent;
  fault.error = std::move(error);
  return fault;
}

}  // namespace

std::uint64_t ChunkSender::part_bytes(const UploadContext& context, std::uint64_t size_bytes) {
  if (context.registry.host() == ModelName::kDefaultHost) {
    return std::clamp(size_bytes / kOllamaParts, kOllamaLeast, kOllamaMost);
  }
  return std::max(context.request.chunk_bytes, size_bytes / kMaxUploadParts + 1);
}

ChunkSender::ChunkSender(Parts parts, registry::Url session, std::optional<std::uint64_t> from,
                         std::uint64_t min_part_bytes)
    : parts_(parts),
      pace_{parts.context.engine.rate_limit, parts.context.job_rate_limit, parts.context.job},
      session_(std::move(session)),
      offset_(from.value_or(0)),
      confirmed_(offset_),
      min_part_bytes_(min_part_bytes),
      max_part_bytes_(std::max(min_part_bytes, part_bytes(parts.context, parts.blob.size_bytes))),
      // A registry that is known to redirect is asked for a whole part at once. What goes on may do so over a worse
      // line than it began, and a kill in the middle of the first request must not cost the session.
      length_(parts.context.registry.host() == ModelName::kDefaultHost
                  ? max_part_bytes_
                  : std::min(max_part_bytes_, offset_ > 0 ? kSmallestBytes : kFirstBytes)),
      unsure_(!from) {}

Outcome<void> ChunkSender::stand_at(std::uint64_t offset, const std::stop_token& stop) {
  offset_ = offset;
  if (offset > confirmed_) {
    parts_.retry.gained(offset - confirmed_);
    confirmed_ = offset;
  }
  parts_.gauge.bytes_done = offset;
  if (auto hashed = parts_.hash.go_to(offset, stop); !hashed) return tl::unexpected(local_fault(hashed.error()));
  auto saved = parts_.journal.update([&](UploadState& state) {
    state.session = session_.text;
    state.offset = offset_;
    state.front = parts_.hash.midstate();
  });
  if (!saved) return tl::unexpected(local_fault(saved.error()));
  return {};
}

Outcome<void> ChunkSender::ask_offset(const std::stop_token& stop) {
  auto status =
      parts_.retry.run([&] { return parts_.context.uploads.status(parts_.connection, session_, stop); }, stop);
  if (!status) return tl::unexpected(status.error());
  if (status->offset > parts_.blob.size_bytes) {
    auto fault = registry::Fault{};
    fault.kind = Fault::Kind::kSessionLost;
    fault.error =
        Error{ErrorCode::kNetwork, "the registry has more bytes than blob " + parts_.blob.digest.str(), {}, 0};
    return tl::unexpected(std::move(fault));
  }
  session_ = std::move(status->session);
  said_zero_ = status->ambiguous;
  unsure_ = false;
  // "0-0" of a blob of one byte: a PUT shows whether it is there, and a session that is lost is opened anew.
  return stand_at(status->ambiguous && parts_.blob.size_bytes == 1 ? 1 : status->offset, stop);
}

std::uint64_t ChunkSender::next_length() const {
  const auto left = parts_.blob.size_bytes - offset_;
  auto length = length_;
  if (const auto rate = pace_.rate(); rate > 0) {
    length = std::min(length, std::max(rate / kThrottledShare, kSmallestThrottledBytes));
  }
  if (length > kGrain) length -= length % kGrain;
  return std::min(left, std::max(length, min_part_bytes_));
}

void ChunkSender::adapt(std::chrono::nanoseconds duration) {
  if (duration < kGrowBelow) length_ = std::min(max_part_bytes_, length_ * 2);
  if (duration > kShrinkAbove) length_ = std::max(std::min(kSmallestBytes, max_part_bytes_), length_ / 2);
}

std::optional<Fault> ChunkSender::after_fault(const Fault& fault, const std::stop_token& stop) {
  unsure_ = true;
  if (fault.http_status == 416 && offset_ == 0 && said_zero_ && !tried_one_) {
    // "0-0" was one byte after all.
    tried_one_ = true;
    unsure_ = false;
    if (auto stood = stand_at(1, stop); !stood) return stood.error();
    return std::nullopt;
  }
  return parts_.retry.after(fault, stop);
}

Outcome<void> ChunkSender::send_one(const std::stop_token& stop) {
  const auto length = next_length();
  const bool paid = pace_.rate() > 0;
  if (paid && !pace_.take(length, stop)) {
    return tl::unexpected(local_fault({ErrorCode::kCancelled, "stopped while pushing", {}, 0}));
  }
  UploadBody body(parts_.file, offset_, length, pace_, paid, parts_.gauge, {nullptr, &parts_.hash},
                  parts_.context.late_stop);
  parts_.context.sink.report(ChunkStarted{parts_.blob, offset_, offset_ + length - 1});
  const auto begun = parts_.context.engine.clock.now();
  auto& uploads = parts_.context.uploads;
  if (parts_.courier != nullptr) {
    parts_.courier->set_part({uploads.host(), uploads.repository(), offset_, length, parts_.hash.midstate()});
  }
  auto& connection = parts_.courier == nullptr ? parts_.connection : *parts_.courier;
  auto sent = uploads.send_part(connection, session_, {offset_, offset_ + length - 1}, body, !takes_chunks_,
                                parts_.context.late_stop);
  if (!sent) {
    body.take_back();
    if (body.problem()) return tl::unexpected(local_fault(*body.problem()));
    if (auto over = after_fault(sent.error(), stop)) return tl::unexpected(std::move(*over));
    return {};
  }
  session_ = std::move(sent->session);
  if (sent->put_to) {
    body.take_back();
    if (takes_chunks_) {
      auto fault = local_fault(
          {ErrorCode::kNetwork, parts_.context.uploads.host() + " took a part itself and redirects the next", {}, 0});
      fault.kind = Fault::Kind::kSessionLost;
      return tl::unexpected(std::move(fault));
    }
    redirect_ = Redirect{length, std::move(*sent->put_to)};
    return {};
  }
  takes_chunks_ = true;
  adapt(parts_.context.engine.clock.now() - begun);
  const auto before = confirmed_;
  auto offset = sent->offset.value_or(offset_ + length);
  if (offset == 0 && offset_ + length == 1) offset = 1;  // "0-0" says either
  if (offset > parts_.blob.size_bytes) {
    unsure_ = true;
  } else if (auto stood = stand_at(offset, stop); !stood) {
    return tl::unexpected(stood.error());
  }
  if (confirmed_ == before) {
    auto fault =
        local_fault({ErrorCode::kNetwork,
                     fmt::format("{} has {} bytes of blob {} after a part that ends at {}",
                                 parts_.context.uploads.host(), offset, parts_.blob.digest.str(), offset_ + length),
                     {},
                     0});
    fault.kind = Fault::Kind::kProtocol;
    if (auto over = after_fault(fault, stop)) return tl::unexpected(std::move(*over));
  }
  return {};
}

Outcome<void> ChunkSender::run(std::stop_token stop) {
  if (!unsure_) {
    if (auto stood = stand_at(offset_, stop); !stood) return stood;
  }
  parts_.gauge.connections = 1;
  while (!redirect_ && (unsure_ || offset_ < parts_.blob.size_bytes)) {
    if (stop.stop_requested()) {
      return tl::unexpected(local_fault({ErrorCode::kCancelled, "stopped while pushing", {}, 0}));
    }
    auto done = unsure_ ? ask_offset(stop) : send_one(stop);
    if (!done) return done;
  }
  parts_.gauge.connections = 0;
  return {};
}

}  // namespace pullama::engine
