#include "daemon/engine/upload_parts.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "daemon/io/thread_start.h"

namespace pullama::engine {

using registry::Fault;
using registry::Outcome;

namespace {

constexpr unsigned kDefaultConnections = 4, kMaxConnections = 16;

Fault local_fault(Error error) {
  Fault fault;
  fault.kind = error.code == ErrorCode::kCancelled ? Fault::Kind::kStopped : Fault::Kind::kPermanent;
  fault.error = std::move(error);
  return fault;
}

}  // namespace

std::string composite_etag(const std::vector<io::Md5Digest>& parts) {
  io::Md5 all;
  for (const auto& part : parts) all.update(part.bytes);
  return all.digest().hex() + "-" + std::to_string(parts.size());
}

PartSender::PartSender(UploadContext& context, BlobRef blob, BlobGauge& gauge, io::File& file, UploadJournal& journal,
                       registry::Url session, const UploadState& state, std::optional<registry::Url> first)
    : context_(context),
      blob_(blob),
      gauge_(gauge),
      file_(file),
      journal_(journal),
      pace_{context.engine.rate_limit, context.job_rate_limit, context.job},
      part_bytes_(state.part_bytes),
      session_(std::move(session)),
      first_(std::move(first)),
      done_(state.parts) {}

PartSender::Range PartSender::range_of(std::size_t part) const {
  const auto offset = part * part_bytes_;
  return {offset, std::min(part_bytes_, blob_.size_bytes - offset)};
}

Outcome<void> PartSender::note_done(std::size_t part, const io::Md5Digest& md5) {
  {
    const std::lock_guard lock(mutex_);
    done_[part] = md5;
  }
  auto saved = journal_.update([&](UploadState& state) { state.parts[part] = md5; });
  if (!saved) return tl::unexpected(local_fault(saved.error()));
  return {};
}

// Precondition: the turn is held.
Outcome<registry::SentPart> PartSender::announce(registry::HttpConnection& connection, UploadRetry& retry,
                                                 std::size_t part, UploadBody& body) {
  const auto range = range_of(part);
  auto sent = retry.run(
      [&] {
        static_cast<void>(body.rewind());
        return context_.uploads.send_part(connection, session_, {range.offset, range.offset + range.length - 1}, body,
                                          true, failed_.get_token());
      },
      stop_);
  if (!sent) {
    body.take_back();
    // Ranges are what such a session counts by: it stands somewhere else than we think.
    if (sent.error().http_status == 416) sent.error().kind = Fault::Kind::kSessionLost;
    return sent;
  }
  session_ = sent->session;
  auto saved = journal_.update([&](UploadState& state) { state.session = session_.text; });
  if (!saved) return tl::unexpected(local_fault(saved.error()));
  return sent;
}

Outcome<void> PartSender::send_bytes(registry::HttpConnection& connection, UploadRetry& retry, std::size_t part,
                                     std::optional<registry::Url> place, UploadBody& body) {
  while (true) {
    static_cast<void>(body.rewind());
    auto put = context_.uploads.put_presigned(connection, *place, {}, body, failed_.get_token());
    if (put) {
      retry.gained(body.size_bytes());
      return {};
    }
    body.take_back();
    if (body.problem()) return tl::unexpected(local_fault(*body.problem()));
    if (auto over = retry.after(put.error(), stop_)) return tl::unexpected(std::move(*over));
    if (put.error().kind != Fault::Kind::kUrlRefused) continue;
    // A new URL for the same part, of the newest session.
    const std::lock_guard turn(turn_);
    auto again = announce(connection, retry, part, body);
    if (!again) return tl::unexpected(again.error());
    if (!again->put_to) return {};
    place = std::move(again->put_to);
  }
}

// false: nothing left to do.
Outcome<bool> PartSender::send_next(registry::HttpConnection& connection, UploadRetry& retry) {
  std::size_t part = 0;
  std::optional<registry::Url> place;
  io::Md5 md5;
  std::optional<UploadBody> body;
  {
    const std::lock_guard turn(turn_);
    if (stop_.stop_requested() || failed_.stop_requested()) return false;
    {
      const std::lock_guard lock(mutex_);
      while (next_ < done_.size() && done_[next_]) ++next_;
      if (next_ == done_.size()) return false;
      part = next_++;
    }
    const auto range = range_of(part);
    context_.sink.report(ChunkStarted{blob_, range.offset, range.offset + range.length - 1});
    body.emplace(file_, range.offset, range.length, pace_, false, gauge_, UploadBody::Hashes{&md5, nullptr},
                 failed_.get_token());
    if (part == 0) place = std::exchange(first_, std::nullopt);
    if (!place) {
      auto sent = announce(connection, retry, part, *body);
      if (!sent) return tl::unexpected(sent.error());
      place = std::move(sent->put_to);
    }
  }
  if (place) {
    auto put = send_bytes(connection, retry, part, std::move(place), *body);
    if (!put) return tl::unexpected(put.error());
  }
  auto noted = note_done(part, md5.digest());
  if (!noted) return tl::unexpected(noted.error());
  return true;
}

void PartSender::work() {
  auto connection = context_.registry.connect();
  UploadRetry retry(context_, blob_);
  ++gauge_.connections;
  while (true) {
    auto sent = send_next(*connection, retry);
    if (sent && *sent) continue;
    if (!sent) {
      const std::lock_guard lock(mutex_);
      // What a worker's end did to the others is not the reason.
      const bool consequence = failed_.stop_requested() && sent.error().kind != Fault::Kind::kPermanent;
      if (!fault_ && !consequence) fault_ = sent.error();
      failed_.request_stop();
    }
    break;
  }
  --gauge_.connections;
}

Outcome<std::string> PartSender::run(std::stop_token stop) {
  stop_ = std::move(stop);
  const std::stop_callback late(context_.late_stop, [this] { failed_.request_stop(); });
  std::uint64_t there = 0;
  for (std::size_t part = 0; part < done_.size(); ++part) {
    if (done_[part]) there += range_of(part).length;
  }
  gauge_.bytes_done = there;
  const auto wanted = context_.request.connections == 0 ? kDefaultConnections : context_.request.connections;
  const auto count = std::min<std::size_t>(std::min(wanted, kMaxConnections), done_.size());
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < count; ++i) {
      auto started = io::start_thread([this] { work(); });
      // The others only make it faster.
      if (!started && workers.empty()) return tl::unexpected(local_fault(started.error()));
      if (!started) break;
      workers.push_back(std::move(*started));
    }
  }
  if (fault_) return tl::unexpected(*fault_);
  std::vector<io::Md5Digest> parts;
  for (const auto& part : done_) {
    if (!part) return tl::unexpected(local_fault({ErrorCode::kCancelled, "stopped while pushing", {}, 0}));
    parts.push_back(*part);
  }
  return composite_etag(parts);
}

}  // namespace pullama::engine
