#pragma once
// Events: one struct a type, in one variant. The structs are named as the types are (`blob.resumed` is BlobResumed),
// and each says in PROTOCOL.md what it means. Digests and sizes of a blob's event come from its BlobRef.

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/digest.h"
#include "proto/job.h"
#include "proto/message.h"
#include "proto/results.h"

namespace pullama::proto {

enum class EventClass {
  kState,     // has a seq of its own, is never dropped, is kept for replay
  kProgress,  // a sample: carries the seq of the state change before it, newest wins
  kTrace,     // only for subscribers with `trace`; no seq; dropped like progress
};

// On the wire: digest, bytes_total, index, count.
struct BlobRef {
  Digest digest = Digest::from_bytes({});
  std::uint64_t bytes_total = 0;
  unsigned index = 0;  // from 1, in manifest order, config last
  unsigned count = 0;
};

namespace event {
struct JobQueued {
  JobKind kind = JobKind::kPull;
  std::optional<std::uint64_t> position;  // in the queue; none: a direct job
};
struct JobStarted {
  JobKind kind = JobKind::kPull;
};
struct JobWaiting {
  JobState state = JobState::kWaitingNetwork;  // or kWaitingSpace
  std::string why;
  std::optional<Time> until;  // when it is tried again
  std::optional<Error> error;
};
struct JobPaused {};
struct JobResumed {};
struct JobCompleted {
  JobKind kind = JobKind::kPull;
  std::uint64_t total_bytes = 0;    // of the model, each digest once
  std::uint64_t fetched_bytes = 0;  // that travelled
  std::uint64_t saved_bytes = 0;    // that a resume or an adoption did not fetch again
  unsigned blobs = 0;
  std::uint64_t retries = 0;
  std::chrono::milliseconds elapsed{0};  // elapsed_ms
};
struct JobFailed {
  Error error;
};
struct JobCancelled {};
struct ManifestFetching {};
struct ManifestFetched {
  Digest digest = Digest::from_bytes({});
  unsigned blobs = 0;
  std::uint64_t total_bytes = 0;
};
struct ManifestChanged {
  Digest before = Digest::from_bytes({}), after = Digest::from_bytes({});
};
struct ManifestWritten {
  Digest digest = Digest::from_bytes({});
};
struct BlobStarted {
  BlobRef blob;
};
struct BlobCached {
  BlobRef blob;
};
struct BlobWaiting {
  BlobRef blob;
};
struct BlobVerifying {
  BlobRef blob;
};
struct BlobResumed {
  BlobRef blob;
  std::uint64_t offset = 0;
  std::uint64_t verified_chunks = 0, total_chunks = 0;
};
struct BlobAdopted {
  BlobRef blob;
  std::string from;
  std::uint64_t bytes = 0;
};
struct BlobProgress {
  BlobRef blob;
  bool upload = false;  // direction: "up", else "down"
  std::uint64_t bytes_done = 0;
  std::uint64_t job_bytes_done = 0, job_bytes_total = 0;
  double rate = 0;  // bytes a second, of the job
  std::optional<std::uint64_t> eta_s;
  unsigned connections = 0;
};
struct BlobVerified {
  BlobRef blob;
  std::chrono::milliseconds elapsed{0};  // elapsed_ms, since blob.started
};
struct BlobFinalized {
  BlobRef blob;
};
struct BlobRestarted {
  BlobRef blob;
  std::string why;
  unsigned attempt = 0, max = 0;
};
struct ChunkMismatch {
  BlobRef blob;
  std::uint64_t start = 0, end = 0;  // inclusive
  unsigned attempt = 0, max = 0;
};
struct CheckpointDiscarded {
  BlobRef blob;
  std::string why;
};
struct Retry {
  std::optional<BlobRef> blob;  // none: the manifest
  std::string reason;
  unsigned attempt = 0;
  std::optional<unsigned> max;           // none: unlimited
  std::chrono::milliseconds backoff{0};  // backoff_ms
  std::optional<int> http_status;
};
struct Refresh {
  std::optional<BlobRef> blob;
  bool url = false;  // what: "url", else "token"
  unsigned attempt = 0, max = 0;
};
struct QueueChanged {
  std::string change;  // added, removed, moved, retried, cleared, started, stopped, state
  bool paused = true;
  std::uint64_t total = 0;       // entries now
  std::vector<std::string> ids;  // of the entries that it is about, at most kMaxChangedIds
};
inline constexpr std::size_t kMaxChangedIds = 64;
struct LimitsChanged {
  Limits limits;
};
struct StoreChanged {
  std::string models_dir;
  std::string change;  // written, removed, copied, cleaned
  std::vector<std::string> models;
};
struct VerifyFinding {
  std::string finding;  // damaged, missing, wrong_size, unreferenced, broken_manifest
  std::optional<Digest> digest;
  std::vector<std::string> models;
  std::string message;
  bool repaired = false;
};
struct DoctorCheck {
  std::string check;
  std::string status;  // ok, warning, failed, skipped
  std::string message, hint;
};
// Trace.
struct HttpRequest {
  std::string method, host, path;                                // path without query
  std::optional<std::pair<std::uint64_t, std::uint64_t>> range;  // first and last byte
  int status = 0;                                                // 0: no answer
  std::uint64_t bytes = 0;
  std::chrono::milliseconds duration{0};  // ms
};
struct ConnectionOpened {
  BlobRef blob;
  unsigned connections = 0;
};
struct ConnectionClosed {
  BlobRef blob;
  unsigned connections = 0;
  std::string why;
};
struct ChunkStarted {
  BlobRef blob;
  std::uint64_t start = 0, end = 0;
};
struct ChunkVerified {
  BlobRef blob;
  std::uint64_t start = 0, end = 0;
};
struct CheckpointSaved {
  BlobRef blob;
  std::uint64_t bytes = 0;
};
}  // namespace event

using EventBody =
    std::variant<event::JobQueued, event::JobStarted, event::JobWaiting, event::JobPaused, event::JobResumed,
                 event::JobCompleted, event::JobFailed, event::JobCancelled, event::ManifestFetching,
                 event::ManifestFetched, event::ManifestChanged, event::ManifestWritten, event::BlobStarted,
                 event::BlobCached, event::BlobWaiting, event::BlobVerifying, event::BlobResumed, event::BlobAdopted,
                 event::BlobProgress, event::BlobVerified, event::BlobFinalized, event::BlobRestarted,
                 event::ChunkMismatch, event::CheckpointDiscarded, event::Retry, event::Refresh, event::QueueChanged,
                 event::LimitsChanged, event::StoreChanged, event::VerifyFinding, event::DoctorCheck,
                 event::HttpRequest, event::ConnectionOpened, event::ConnectionClosed, event::ChunkStarted,
                 event::ChunkVerified, event::CheckpointSaved>;

struct Event {
  std::optional<std::uint64_t> seq;  // none in trace events
  Time time{};
  std::string job;    // empty: not about a job
  std::string model;  // shortest name with its tag; empty: not about one
  EventBody body;

  std::string_view type() const;
  EventClass classification() const;
};

// The n-th name belongs to the n-th alternative of EventBody.
std::span<const std::string_view> all_event_types();
bool is_event_type(std::string_view name);
EventClass classify(const EventBody& body);
std::string_view type_of(const EventBody& body);

// The params of the notification. A type that this version does not know is kUnsupported, to be passed over.
template <>
Result<Event> read<Event>(std::string_view json);
template <>
std::string write<Event>(const Event& message);

// Every member of the event but the envelope, nested ones with a dot, values as JSON text: for people who debug.
std::vector<std::pair<std::string, std::string>> event_members(const Event& event);

}  // namespace pullama::proto
