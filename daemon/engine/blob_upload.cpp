#include "daemon/engine/blob_upload.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/engine/upload_chunks.h"
#include "daemon/engine/upload_parts.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {

using registry::Fault;
using registry::Outcome;

namespace {

constexpr unsigned kMaxRestarts = 2;
constexpr std::size_t kMaxMountSources = 8;
// A smaller blob is sent anew sooner than a process is started.
constexpr std::uint64_t kCourierFromBytes = 4ULL << 20;
constexpr std::chrono::milliseconds kLook{20};

Fault local_fault(Error error) {
  Fault fault;
  fault.kind = error.code == ErrorCode::kCancelled ? Fault::Kind::kStopped : Fault::Kind::kPermanent;
  fault.error = std::move(error);
  return fault;
}

std::uint64_t chunks_in(std::uint64_t bytes, std::uint64_t chunk_bytes) { return bytes / chunk_bytes; }

}  // namespace

BlobUpload::BlobUpload(UploadContext& context, BlobRef blob, BlobGauge& gauge)
    : context_(context),
      fs_(context.store.fs),
      blob_(blob),
      gauge_(gauge),
      journal_(fs_, blob_, context.sink),
      retry_(context, blob_),
      connection_(context.registry.connect()),
      began_(context.engine.clock.now()) {}

Status BlobUpload::open_file() {
  const auto path = store::blob_path(blob_.digest);
  auto file = fs_.open(path, io::OpenMode::kRead);
  if (!file) return fail(file.error());
  const auto stat = (*file)->stat();
  if (!stat) return fail(stat.error());
  if (stat->kind != io::FileStat::Kind::kFile || stat->size_bytes != blob_.size_bytes) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("{} has not the {} bytes that its manifest says", fs_.native_path(path), blob_.size_bytes),
                "pull the model again");
  }
  file_ = std::move(*file);
  hash_.emplace(*file_, blob_.digest);
  return {};
}

// One whose daemon was killed ends what it began, and what it saves is what this run goes on from.
Status BlobUpload::wait_for_courier(const std::stop_token& stop) {
  auto& clock = context_.engine.clock;
  const auto until = clock.now() + kOrphanMayTake + std::chrono::seconds(5);
  for (bool told = false; clock.now() < until; told = true) {
    const auto file = fs_.open(store::blob_path(blob_.digest), io::OpenMode::kRead);
    if (!file) return fail(file.error());
    const auto locked = (*file)->try_lock();
    if (!locked || *locked) return {};  // where a file cannot be locked, there was no courier
    if (!told) context_.sink.report(BlobWaitingForLock{blob_});
    if (!clock.sleep_for(kLook, stop))
      return fail(ErrorCode::kCancelled, "stopped while pushing " + blob_.digest.str());
  }
  return {};
}

Result<UploadOutcome> BlobUpload::run(std::stop_token stop) {
  if (auto opened = open_file(); !opened) return fail(opened.error());
  if (auto alone = wait_for_courier(stop); !alone) return fail(alone.error());
  auto sent = run_sessions(stop);
  courier_.reset();
  gauge_.connections = 0;
  if (sent) {
    gauge_.bytes_done = blob_.size_bytes;
    return outcome_;
  }
  const auto& fault = sent.error();
  if (fault.kind == Fault::Kind::kStopped || stop.stop_requested()) {
    return fail(ErrorCode::kCancelled, "stopped while pushing " + blob_.digest.str());
  }
  return fail(fault.error);
}

Outcome<void> BlobUpload::run_sessions(std::stop_token stop) {
  std::optional<Fault> lost;
  for (unsigned restarts = 0;;) {
    resumed_ = journal_.load(context_.uploads.host(), context_.uploads.repository());
    auto there = retry_.run(
        [&] { return context_.uploads.has_blob(*connection_, context_.uploads.repository(), blob_.digest, stop); },
        stop);
    if (!there) return tl::unexpected(there.error());
    if (*there) {
      if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
      // After a lost answer to the last request, it is our own.
      if (gauge_.travelled > 0) {
        context_.sink.report(BlobFinalized{blob_});
      } else {
        context_.sink.report(BlobCached{blob_});
      }
      return {};
    }
    // Only now: the session is gone as well where the answer to its last request was lost.
    if (lost) {
      if (++restarts > kMaxRestarts) {
        lost->kind = Fault::Kind::kPermanent;
        lost->error.message = fmt::format("{} lost the upload of blob {} {} times: {}", context_.uploads.host(),
                                          blob_.digest.str(), restarts, lost->error.message);
        return tl::unexpected(std::move(*lost));
      }
      context_.sink.report(
          BlobRestarted{blob_, "the registry lost the upload session: " + lost->error.message, restarts, kMaxRestarts});
    }
    auto sent = send(stop);
    if (sent || sent.error().kind != Fault::Kind::kSessionLost) return sent;
    lost = std::move(sent.error());
    gauge_.bytes_done = 0;
    outcome_.saved_bytes = 0;
    if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
  }
}

// The first that says it has the blob; else the likeliest, which costs nothing: a mount that is refused opens a
// session.
std::string BlobUpload::mount_source(const std::stop_token& stop) {
  auto sources = context_.mount_sources(blob_.digest);
  if (sources.size() > kMaxMountSources) sources.resize(kMaxMountSources);
  for (const auto& source : sources) {
    if (stop.stop_requested()) break;
    const auto there = context_.uploads.has_blob(*connection_, source, blob_.digest, stop);
    if (there && *there) return source;
  }
  return sources.empty() ? std::string() : sources.front();
}

// true: it is there now, nothing to send.
Outcome<bool> BlobUpload::open_session(std::string mount_from, const std::stop_token& stop) {
  const auto ask = [&] {
    return context_.uploads.open(*connection_, blob_.digest, blob_.size_bytes, mount_from, stop);
  };
  auto opened = retry_.run(
      [&] {
        auto answer = ask();
        const bool refused = !answer && (answer.error().kind == Fault::Kind::kPermanent ||
                                         answer.error().kind == Fault::Kind::kProtocol);
        if (!refused || mount_from.empty()) return answer;
        // We may not read there, or it is not there: no reason not to upload.
        mount_from.clear();
        return ask();
      },
      stop);
  if (!opened) return tl::unexpected(opened.error());
  if (opened->complete) return true;
  session_ = std::move(opened->session);
  direct_ = std::move(opened->direct);
  min_part_bytes_ = opened->min_part_bytes;
  return false;
}

void BlobUpload::report_start(std::uint64_t saved_bytes) {
  gauge_.bytes_done = saved_bytes;
  if (saved_bytes > 0) {
    const auto grain = std::max<std::uint64_t>(context_.request.chunk_bytes, 1);
    outcome_.saved_bytes = saved_bytes;
    context_.sink.report(
        BlobResumed{blob_, saved_bytes, chunks_in(saved_bytes, grain), chunks_in(blob_.size_bytes + grain - 1, grain)});
  } else if (!reported_start_) {
    context_.sink.report(BlobStarted{blob_});
  }
  reported_start_ = true;
}

Outcome<void> BlobUpload::send(const std::stop_token& stop) {
  session_.reset();
  direct_.reset();
  if (resumed_) {
    auto kept = context_.uploads.kept_session(resumed_->session);
    if (!kept) {
      context_.sink.report(CheckpointDiscarded{blob_, "upload state: " + kept.error().message});
      if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
    } else {
      session_ = std::move(*kept);
    }
  }
  if (session_) {
    // The registry is the authority: a session that it does not know any more is lost.
    auto status = retry_.run([&] { return context_.uploads.status(*connection_, *session_, stop); }, stop);
    if (!status) return tl::unexpected(status.error());
    session_ = std::move(status->session);
    if (resumed_->part_bytes > 0) return send_parts(std::nullopt, stop);
    hash_->restore(resumed_->front);
    report_start(std::min(status->offset, blob_.size_bytes));
    return send_chunks(
        status->offset > 0 && status->offset <= blob_.size_bytes ? std::optional(status->offset) : std::nullopt, stop);
  }
  const auto mounted = open_session(mount_source(stop), stop);
  if (!mounted) return tl::unexpected(mounted.error());
  if (*mounted) {
    if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
    context_.sink.report(BlobCached{blob_});
    return {};
  }
  hash_->restore(std::nullopt);
  report_start(0);
  if (direct_) return send_directly(*direct_, stop);
  return send_chunks(0, stop);
}

Fault BlobUpload::wrong_bytes() const {
  return local_fault({ErrorCode::kCorrupt,
                      fmt::format("{} does not have its digest, so it was not pushed",
                                  fs_.native_path(store::blob_path(blob_.digest))),
                      "pull the model again, which mends it", 0});
}

Outcome<void> BlobUpload::send_chunks(std::optional<std::uint64_t> from, const std::stop_token& stop) {
  if (from == std::uint64_t{0} && context_.redirects_parts && blob_.size_bytes > 0) {
    return begin_parts(std::nullopt, stop);
  }
  if (context_.engine.courier_network && blob_.size_bytes > kCourierFromBytes && !courier_) {
    courier_.emplace(CourierHello{fs_.native_path("."), context_.request.ca_file, blob_.digest, blob_.size_bytes,
                                  context_.engine.courier_network()},
                     *connection_);
  }
  ChunkSender sender(
      {context_, blob_, gauge_, *file_, journal_, retry_, *hash_, *connection_, courier_ ? &*courier_ : nullptr},
      *session_, from, min_part_bytes_);
  auto sent = sender.run(stop);
  if (!sent) return tl::unexpected(sent.error());
  session_ = sender.session();
  if (auto redirect = sender.redirected()) {
    context_.redirects_parts = true;
    const auto whole = std::min(ChunkSender::part_bytes(context_, blob_.size_bytes), blob_.size_bytes);
    if (redirect->length_bytes == whole) return begin_parts(std::move(redirect->place), stop);
    // The first question was for a shorter part than those of an object store may be: ask anew.
    context_.uploads.cancel(*connection_, *session_, stop);
    const auto opened = open_session({}, stop);
    if (!opened) return tl::unexpected(opened.error());
    if (*opened) return {};
    return begin_parts(std::nullopt, stop);
  }
  return hash_->is_right() ? finish({}, stop) : give_up_wrong_bytes(stop);
}

// The session would never come to an end: nothing of it is kept, here or there.
Outcome<void> BlobUpload::give_up_wrong_bytes(const std::stop_token& stop) {
  context_.uploads.cancel(*connection_, *session_, stop);
  if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
  return tl::unexpected(wrong_bytes());
}

Outcome<void> BlobUpload::begin_parts(std::optional<registry::Url> first, const std::stop_token& stop) {
  const auto part_bytes = ChunkSender::part_bytes(context_, blob_.size_bytes);
  auto saved = journal_.update([&](UploadState& state) {
    state.session = session_->text;
    state.offset = 0;
    state.front.reset();
    state.part_bytes = part_bytes;
    const auto count = blob_.size_bytes / part_bytes + (blob_.size_bytes % part_bytes == 0 ? 0 : 1);
    state.parts.assign(static_cast<std::size_t>(count), std::nullopt);
  });
  if (!saved) return tl::unexpected(local_fault(saved.error()));
  return send_parts(std::move(first), stop);
}

Outcome<void> BlobUpload::check_file(const std::stop_token& stop) {
  const auto stat = file_->stat();
  if (!stat) return tl::unexpected(local_fault(stat.error()));
  if (context_.store.ledger.is_verified(blob_.digest, *stat)) return {};
  context_.sink.report(BlobVerifying{blob_});
  if (auto hashed = hash_->go_to(blob_.size_bytes, stop); !hashed) return tl::unexpected(local_fault(hashed.error()));
  return hash_->is_right() ? Outcome<void>() : give_up_wrong_bytes(stop);
}

Outcome<void> BlobUpload::send_parts(std::optional<registry::Url> first, const std::stop_token& stop) {
  // Parts leave out of order, so the whole is looked at first.
  if (auto checked = check_file(stop); !checked) return checked;
  const auto state = journal_.state();
  std::uint64_t there = 0;
  for (std::size_t part = 0; part < state.parts.size(); ++part) {
    const auto offset = part * state.part_bytes;
    if (state.parts[part]) there += std::min(state.part_bytes, blob_.size_bytes - offset);
  }
  report_start(there);
  PartSender sender(context_, blob_, gauge_, *file_, journal_, *session_, state, std::move(first));
  auto etag = sender.run(stop);
  if (!etag) return tl::unexpected(etag.error());
  session_ = sender.session();
  return finish(*etag, stop);
}

Outcome<void> BlobUpload::send_directly(registry::DirectUpload direct, const std::stop_token& stop) {
  // The store takes what it gets, so the whole is looked at first here too.
  if (auto checked = check_file(stop); !checked) return checked;
  hash_->restore(std::nullopt);
  const UploadPace pace{context_.engine.rate_limit, context_.job_rate_limit, context_.job};
  gauge_.connections = 1;
  UploadBody body(*file_, 0, blob_.size_bytes, pace, false, gauge_, {nullptr, &*hash_}, context_.late_stop);
  while (true) {
    static_cast<void>(body.rewind());
    auto put = context_.uploads.put_presigned(*connection_, direct.url, direct.headers, body, context_.late_stop);
    if (put) break;
    body.take_back();
    if (body.problem()) return tl::unexpected(local_fault(*body.problem()));
    if (auto over = retry_.after(put.error(), stop)) return tl::unexpected(std::move(*over));
    if (put.error().kind != Fault::Kind::kUrlRefused) continue;
    // Another session brings another URL.
    auto opened = open_session({}, stop);
    if (!opened) return tl::unexpected(opened.error());
    if (*opened) return {};
    if (!direct_) return send_chunks(0, stop);
    direct = *direct_;
  }
  gauge_.connections = 0;
  return hash_->is_right() ? finish({}, stop) : give_up_wrong_bytes(stop);
}

Outcome<void> BlobUpload::finish(const std::string& etag, const std::stop_token& stop) {
  context_.sink.report(
      BlobVerified{blob_, std::chrono::duration_cast<std::chrono::milliseconds>(context_.engine.clock.now() - began_)});
  auto finished = retry_.run(
      [&] { return context_.uploads.finish(*connection_, *session_, blob_.digest, etag, context_.late_stop); }, stop);
  if (!finished) return finished;
  if (auto forgotten = journal_.forget(); !forgotten) return tl::unexpected(local_fault(forgotten.error()));
  context_.sink.report(BlobFinalized{blob_});
  return {};
}

}  // namespace pullama::engine
