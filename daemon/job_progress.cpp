#include "daemon/job_progress.h"

#include <algorithm>
#include <cmath>

#include "common/printable.h"

namespace pullama {
namespace {

namespace event = proto::event;
using proto::BlobState;

proto::BlobRef wire(const engine::BlobRef& blob) { return {blob.digest, blob.size_bytes, blob.index, blob.count}; }

std::optional<proto::BlobRef> wire(const std::optional<engine::BlobRef>& blob) {
  return blob ? std::optional(wire(*blob)) : std::nullopt;
}

std::string_view name_of(engine::Finding::Kind kind) {
  switch (kind) {
    case engine::Finding::Kind::kDamaged:
      break;
    case engine::Finding::Kind::kMissing:
      return "missing";
    case engine::Finding::Kind::kWrongSize:
      return "wrong_size";
    case engine::Finding::Kind::kUnreferenced:
      return "unreferenced";
    case engine::Finding::Kind::kBrokenManifest:
      return "broken_manifest";
  }
  return "damaged";
}

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

proto::BlobSnapshot* JobProgress::blob(const engine::BlobRef& ref) {
  const auto it = index_.find(ref.digest);
  return it == index_.end() ? nullptr : &blobs_[it->second];
}

void JobProgress::expect(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes) {
  set_blobs(blobs, total_bytes);
}

// A manifest that is fetched again, or that moved, keeps what is known of its blobs.
void JobProgress::set_blobs(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes) {
  std::vector<proto::BlobSnapshot> next;
  std::map<Digest, std::size_t> index;
  for (const engine::BlobRef& ref : blobs) {
    if (!index.emplace(ref.digest, next.size()).second) continue;
    const proto::BlobSnapshot* known = blob(ref);
    next.push_back(known != nullptr && known->size == ref.size_bytes
                       ? *known
                       : proto::BlobSnapshot{ref.digest, ref.size_bytes, BlobState::kPending, 0});
  }
  if (bytes_total_ != total_bytes) bytes_done_ = 0;  // another model now, its figures are not comparable
  blobs_ = std::move(next);
  index_ = std::move(index);
  bytes_total_ = total_bytes;
  sum_up();
}

void JobProgress::advance(const engine::BlobRef& ref, BlobState state, std::uint64_t bytes_done) {
  proto::BlobSnapshot* known = blob(ref);
  if (known == nullptr) return;
  known->state = state;
  known->bytes_done = std::min(std::max(known->bytes_done, bytes_done), known->size);
  sum_up();
}

// Samples name one blob of those under way and may come late; the job's figure counts all of them.
void JobProgress::sample(const engine::BlobProgress& report) {
  const proto::BlobSnapshot* known = blob(report.blob);
  if (known == nullptr) return;
  const bool over = known->state == BlobState::kDone || known->state == BlobState::kCached ||
                    (known->state == BlobState::kVerifying && known->bytes_done == known->size);
  advance(report.blob, over ? known->state : BlobState::kDownloading, report.bytes_done);
  for (const auto& [digest, bytes_done] : report.beside) {
    const auto at = index_.find(digest);
    if (at == index_.end()) continue;
    proto::BlobSnapshot& other = blobs_[at->second];
    if (other.state == BlobState::kDownloading) {
      other.bytes_done = std::min(std::max(other.bytes_done, bytes_done), other.size);
    }
  }
  sum_up();
  // The engine leaves out what was there already.
  if (report.job_bytes_total == 0 || report.job_bytes_total > bytes_total_) return;
  if (report.job_bytes_done > report.job_bytes_total) return;
  const std::uint64_t present = bytes_total_ - report.job_bytes_total;
  bytes_done_ = std::max(bytes_done_, present + report.job_bytes_done);
}

// What an earlier run of this job fetched is not found, it travelled.
void JobProgress::found(const engine::BlobRef& ref, std::uint64_t bytes) {
  const proto::BlobSnapshot* known = blob(ref);
  if (known != nullptr && known->bytes_done == 0) found_.try_emplace(ref.digest, std::min(bytes, known->size));
}

std::uint64_t JobProgress::fetched_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& known : blobs_) {
    const auto at = found_.find(known.digest);
    sum += known.bytes_done - std::min(known.bytes_done, at == found_.end() ? 0 : at->second);
  }
  return sum;
}

std::uint64_t JobProgress::resumed_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& known : blobs_) {
    const auto at = found_.find(known.digest);
    if (at != found_.end() && known.state != BlobState::kCached) sum += at->second;
  }
  return sum;
}

void JobProgress::sum_up() {
  std::uint64_t sum = 0;
  for (const auto& known : blobs_) sum += known.bytes_done;
  bytes_done_ = std::min(std::max(bytes_done_, sum), bytes_total_);
}

void JobProgress::hold(std::uint64_t bytes_done, std::uint64_t bytes_total) {
  if (bytes_total_ != 0) return;
  bytes_total_ = bytes_total;
  bytes_done_ = std::min(bytes_done, bytes_total);
}

void JobProgress::stopped() {
  rate_ = 0;
  eta_s_.reset();
  connections_ = 0;
}

void JobProgress::completed() {
  for (auto& known : blobs_) {
    if (known.state != BlobState::kCached) known.state = BlobState::kDone;
    known.bytes_done = known.size;
  }
  sum_up();
  stopped();
}

void JobProgress::show(proto::JobSnapshot& snapshot) const {
  snapshot.blobs = blobs_;
  snapshot.bytes_done = bytes_done_;
  snapshot.bytes_total = bytes_total_;
  snapshot.rate = rate_;
  snapshot.eta_s = eta_s_;
  snapshot.connections = connections_;
  snapshot.retries = retries_;
}

proto::EventBody JobProgress::apply(const engine::Report& report) {
  using Body = proto::EventBody;
  const auto shown = [this](const engine::BlobRef& ref) {
    const proto::BlobSnapshot* known = blob(ref);
    return known == nullptr ? 0 : known->bytes_done;
  };
  return std::visit(
      Overloaded{
          [](const engine::ManifestFetching&) -> Body { return event::ManifestFetching{}; },
          [&](const engine::ManifestFetched& r) -> Body {
            set_blobs(r.blobs, r.total_bytes);
            return event::ManifestFetched{r.digest, r.blob_count, r.total_bytes};
          },
          [](const engine::ManifestChanged& r) -> Body {
            return event::ManifestChanged{r.before, r.after};
          },
          [](const engine::ManifestWritten& r) -> Body { return event::ManifestWritten{r.digest}; },
          [&](const engine::BlobStarted& r) -> Body {
            advance(r.blob, BlobState::kDownloading, 0);
            return event::BlobStarted{wire(r.blob)};
          },
          [&](const engine::BlobCached& r) -> Body {
            found(r.blob, r.blob.size_bytes);
            advance(r.blob, BlobState::kCached, r.blob.size_bytes);
            return event::BlobCached{wire(r.blob)};
          },
          [&](const engine::BlobWaitingForLock& r) -> Body {
            advance(r.blob, BlobState::kPending, 0);
            return event::BlobWaiting{wire(r.blob)};
          },
          [&](const engine::BlobVerifying& r) -> Body {
            advance(r.blob, BlobState::kVerifying, 0);
            return event::BlobVerifying{wire(r.blob)};
          },
          [&](const engine::BlobResumed& r) -> Body {
            found(r.blob, r.offset_bytes);
            advance(r.blob, BlobState::kDownloading, r.offset_bytes);
            return event::BlobResumed{wire(r.blob), r.offset_bytes, r.verified_chunks, r.total_chunks};
          },
          [&](const engine::BlobAdopted& r) -> Body {
            return event::BlobAdopted{wire(r.blob), printable(r.from), r.bytes};
          },
          [&](const engine::BlobProgress& r) -> Body {
            sample(r);
            rate_ = std::isfinite(r.bytes_per_second) ? std::max(0.0, r.bytes_per_second) : 0.0;
            eta_s_ =
                r.eta && r.eta->count() >= 0 ? std::optional(static_cast<std::uint64_t>(r.eta->count())) : std::nullopt;
            connections_ = r.connections;
            return event::BlobProgress{wire(r.blob), r.up,  shown(r.blob), bytes_done_,
                                       bytes_total_, rate_, eta_s_,        connections_};
          },
          [&](const engine::BlobVerified& r) -> Body {
            advance(r.blob, BlobState::kVerifying, r.blob.size_bytes);
            return event::BlobVerified{wire(r.blob), r.duration};
          },
          [&](const engine::BlobFinalized& r) -> Body {
            advance(r.blob, BlobState::kDone, r.blob.size_bytes);
            return event::BlobFinalized{wire(r.blob)};
          },
          [&](const engine::BlobRestarted& r) -> Body {
            advance(r.blob, BlobState::kDownloading, 0);
            return event::BlobRestarted{wire(r.blob), printable(r.reason), r.attempt, r.max};
          },
          [](const engine::ChunkMismatch& r) -> Body {
            return event::ChunkMismatch{wire(r.blob), r.start, r.end, r.attempt, r.max};
          },
          [](const engine::CheckpointDiscarded& r) -> Body {
            return event::CheckpointDiscarded{wire(r.blob), printable(r.reason)};
          },
          [&](const engine::Retry& r) -> Body {
            ++retries_;
            return event::Retry{wire(r.blob), printable(r.reason),
                                r.attempt,    r.max,
                                r.backoff,    r.http_status == 0 ? std::nullopt : std::optional(r.http_status)};
          },
          [](const engine::Refresh& r) -> Body {
            return event::Refresh{wire(r.blob), r.url, r.attempt, r.max};
          },
          [](const engine::Finding& r) -> Body {
            return event::VerifyFinding{std::string(name_of(r.kind)), r.digest, r.models, printable(r.message, 1024),
                                        r.repaired};
          },
          [](const engine::RequestDone& r) -> Body {
            const auto& t = r.trace;
            event::HttpRequest request{printable(t.method), printable(t.host), printable(t.path), {}, t.status, t.bytes,
                                       t.duration};
            if (t.range) request.range = std::pair(t.range->first, t.range->last);
            return request;
          },
          [](const engine::ConnectionOpened& r) -> Body {
            return event::ConnectionOpened{wire(r.blob), r.connections};
          },
          [](const engine::ConnectionClosed& r) -> Body {
            return event::ConnectionClosed{wire(r.blob), r.connections, printable(r.why)};
          },
          [](const engine::ChunkStarted& r) -> Body {
            return event::ChunkStarted{wire(r.blob), r.start, r.end};
          },
          [](const engine::ChunkVerified& r) -> Body {
            return event::ChunkVerified{wire(r.blob), r.start, r.end};
          },
          [](const engine::CheckpointSaved& r) -> Body {
            return event::CheckpointSaved{wire(r.blob), r.bytes};
          },
      },
      report);
}

}  // namespace pullama
