#include "client/view.h"

#include <algorithm>
#include <type_traits>
#include <variant>

namespace pullama::client {
namespace {

// More than a manifest may name; what lies beyond is counted by the daemon's own figures only.
constexpr std::size_t kMostBlobs = 16384;
constexpr std::size_t kMostFinished = 64;

std::chrono::seconds seconds_of(std::uint64_t seconds) {
  return std::chrono::seconds(static_cast<std::int64_t>(std::min<std::uint64_t>(seconds, 3600ULL * 24 * 3650)));
}

}  // namespace

View::Entry& View::entry(const std::string& job) {
  const auto [at, is_new] = entries_.try_emplace(job);
  if (is_new) {
    at->second.shown.job = job;
    at->second.order = next_order_++;
  }
  return at->second;
}

void View::raise(Transfer& shown, std::uint64_t done, std::uint64_t total) {
  if (total > 0) shown.total_bytes = total;
  shown.done_bytes = std::max(shown.done_bytes, done);
  if (shown.total_bytes > 0) shown.done_bytes = std::min(shown.done_bytes, shown.total_bytes);
  shown.percent = std::max(shown.percent, percent_of(shown.done_bytes, shown.total_bytes));
}

void View::raise_blob(Entry& entry, const Digest& digest, std::uint64_t size, std::uint64_t done) {
  auto at = entry.blobs.find(digest);
  if (at == entry.blobs.end()) {
    if (entry.blobs.size() >= kMostBlobs) return;
    at = entry.blobs.emplace(digest, Blob{size, 0}).first;
  }
  Blob& blob = at->second;
  done = std::min(done, blob.size);
  if (done <= blob.done) return;
  const std::uint64_t gained = done - blob.done;
  blob.done = done;
  entry.blob_bytes = gained > UINT64_MAX - entry.blob_bytes ? UINT64_MAX : entry.blob_bytes + gained;
  raise(entry.shown, entry.blob_bytes, 0);
}

void View::put(const proto::JobSnapshot& snapshot) {
  Entry& at = entry(snapshot.id);
  Transfer& shown = at.shown;
  shown.kind = snapshot.kind;
  shown.model = snapshot.model;
  shown.models_dir = snapshot.models_dir;
  shown.state = snapshot.state;
  shown.rate = snapshot.rate;
  shown.eta = snapshot.eta_s ? std::optional(seconds_of(*snapshot.eta_s)) : std::nullopt;
  shown.connections = snapshot.connections;
  shown.error = snapshot.error;
  shown.waits_for = snapshot.error ? snapshot.error->message : std::string();
  shown.has_manifest = shown.has_manifest || !snapshot.blobs.empty();
  if (!snapshot.blobs.empty()) shown.blob_count = static_cast<unsigned>(snapshot.blobs.size());
  raise(shown, snapshot.bytes_done, snapshot.bytes_total);
  for (const proto::BlobSnapshot& blob : snapshot.blobs) raise_blob(at, blob.digest, blob.size, blob.bytes_done);
  if (shown.state == proto::JobState::kCompleted) {
    raise(shown, shown.total_bytes, shown.total_bytes);
    shown.percent = 100;
    proto::event::JobCompleted summary;
    summary.kind = snapshot.kind;
    summary.total_bytes = snapshot.bytes_total;
    summary.fetched_bytes = snapshot.bytes_total;
    summary.blobs = shown.blob_count;
    summary.retries = snapshot.retries;
    if (snapshot.started && snapshot.finished) summary.elapsed = *snapshot.finished - *snapshot.started;
    if (!shown.summary) shown.summary = summary;
  }
}

void View::reset(const proto::Snapshot& snapshot) {
  std::map<std::string, Entry> before = std::move(entries_);
  entries_.clear();
  for (const proto::JobSnapshot& job : snapshot.jobs) {
    if (const auto at = before.find(job.id); at != before.end()) entries_.insert(before.extract(at));
    put(job);
  }
  queue_ = snapshot.queue;
}

void View::rename(const std::string& before, const std::string& after) {
  if (before == after) return;
  auto node = entries_.extract(before);
  if (!node) return;
  entries_.erase(after);
  node.key() = after;
  node.mapped().shown.job = after;
  node.mapped().shown.state = proto::JobState::kActive;
  node.mapped().shown.rate = 0;
  node.mapped().shown.eta.reset();
  entries_.insert(std::move(node));
}

void View::apply(const proto::Event& event) {
  namespace e = proto::event;
  if (const auto* changed = std::get_if<e::QueueChanged>(&event.body)) queue_.paused = changed->paused;
  if (event.job.empty()) return;
  Entry& at = entry(event.job);
  Transfer& shown = at.shown;
  if (!event.model.empty()) shown.model = event.model;
  std::visit(
      [&](const auto& body) {
        using T = std::decay_t<decltype(body)>;
        using proto::JobState;
        const auto stand_still = [&] {
          shown.rate = 0;
          shown.eta.reset();
          shown.connections = 0;
        };
        if constexpr (std::is_same_v<T, e::JobQueued>) {
          shown.kind = body.kind;
          shown.state = JobState::kQueued;
          shown.queue_position = body.position;
        } else if constexpr (std::is_same_v<T, e::JobStarted>) {
          shown.kind = body.kind;
          shown.state = JobState::kActive;
          shown.error.reset();
          shown.waits_for.clear();
        } else if constexpr (std::is_same_v<T, e::JobWaiting>) {
          shown.state = body.state == JobState::kWaitingSpace ? JobState::kWaitingSpace : JobState::kWaitingNetwork;
          shown.waits_for = body.why;
          shown.error = body.error;
          stand_still();
        } else if constexpr (std::is_same_v<T, e::JobPaused>) {
          shown.state = JobState::kPaused;
          stand_still();
        } else if constexpr (std::is_same_v<T, e::JobResumed>) {
          shown.state = JobState::kActive;
          shown.error.reset();
          shown.waits_for.clear();
        } else if constexpr (std::is_same_v<T, e::JobCompleted>) {
          shown.kind = body.kind;
          shown.state = JobState::kCompleted;
          raise(shown, body.total_bytes, body.total_bytes);
          raise(shown, shown.total_bytes, shown.total_bytes);
          shown.percent = 100;
          shown.summary = body;
          stand_still();
        } else if constexpr (std::is_same_v<T, e::JobFailed>) {
          shown.state = JobState::kFailed;
          shown.error = body.error;
          stand_still();
        } else if constexpr (std::is_same_v<T, e::JobCancelled>) {
          shown.state = JobState::kCancelled;
          stand_still();
        } else if constexpr (std::is_same_v<T, e::ManifestFetched>) {
          shown.has_manifest = true;
          shown.blob_count = body.blobs;
          raise(shown, 0, body.total_bytes);
        } else if constexpr (std::is_same_v<T, e::BlobCached> || std::is_same_v<T, e::BlobFinalized> ||
                             std::is_same_v<T, e::BlobVerified>) {
          raise_blob(at, body.blob.digest, body.blob.bytes_total, body.blob.bytes_total);
        } else if constexpr (std::is_same_v<T, e::BlobResumed>) {
          raise_blob(at, body.blob.digest, body.blob.bytes_total, body.offset);
        } else if constexpr (std::is_same_v<T, e::BlobProgress>) {
          shown.rate = body.rate;
          shown.eta = body.eta_s ? std::optional(seconds_of(*body.eta_s)) : std::nullopt;
          shown.connections = body.connections;
          raise_blob(at, body.blob.digest, body.blob.bytes_total, body.bytes_done);
          // Only a manifest makes a model smaller.
          raise(shown, body.job_bytes_done, std::max(shown.total_bytes, body.job_bytes_total));
        }
      },
      event.body);
  if (shown.total_bytes > 0 && shown.done_bytes >= shown.total_bytes) shown.eta.reset();
  if (!shown.is_finished()) return;
  // What is finished is kept for a while only, or a screen that stays open would grow for ever.
  at.blobs.clear();
  std::map<std::uint64_t, std::string> finished;
  for (const auto& [job, other] : entries_) {
    if (other.shown.is_finished()) finished.emplace(other.order, job);
  }
  while (finished.size() > kMostFinished) {
    if (finished.begin()->second != event.job) entries_.erase(finished.begin()->second);
    finished.erase(finished.begin());
  }
}

const Transfer* View::find(const std::string& job) const {
  const auto at = entries_.find(job);
  return at == entries_.end() ? nullptr : &at->second.shown;
}

std::vector<const Transfer*> View::transfers() const {
  std::vector<const Entry*> in_order;
  in_order.reserve(entries_.size());
  for (const auto& [job, entry] : entries_) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](const Entry* a, const Entry* b) { return a->order < b->order; });
  std::vector<const Transfer*> out;
  out.reserve(in_order.size());
  for (const Entry* entry : in_order) out.push_back(&entry->shown);
  return out;
}

}  // namespace pullama::client
