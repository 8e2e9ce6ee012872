#pragma once
// What the engine tells the world while it works: plain structs and the sink they go to. One report a fact; the names
// are the event types of the socket protocol (proto/events.h), which daemon/progress_relay.h turns them into.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "common/digest.h"
#include "daemon/registry/registry.h"

namespace pullama::engine {

// Which blob of the job; index counts from 1 in manifest order, config last.
struct BlobRef {
  Digest digest;
  std::uint64_t size_bytes = 0;
  unsigned index = 0;
  unsigned count = 0;
};

struct ManifestFetching {};
struct ManifestFetched {
  Digest digest;
  unsigned blob_count = 0;
  std::uint64_t total_bytes = 0;
  std::vector<BlobRef> blobs;
};
struct ManifestChanged {  // the tag moved since this pull began
  Digest before, after;
};
struct ManifestWritten {
  Digest digest;
};
struct BlobStarted {
  BlobRef blob;
};
struct BlobCached {
  BlobRef blob;
};
struct BlobWaitingForLock {  // another process downloads this blob; we take over what it leaves
  BlobRef blob;
};
struct BlobVerifying {  // hashing what is on disk before it is trusted: a final file that the ledger does not know
  BlobRef blob;
};
struct BlobResumed {
  BlobRef blob;
  std::uint64_t offset_bytes = 0;  // bytes that need not travel again
  std::uint64_t verified_chunks = 0, total_chunks = 0;
};
struct BlobAdopted {
  BlobRef blob;
  std::string from;  // "pullama 0.1 checkpoint", "ollama partial"
  std::uint64_t bytes = 0;
};
struct BlobProgress {  // a sample, at most 10 a second a job
  BlobRef blob;
  std::uint64_t bytes_done = 0;  // real ones: they fall when damage is found, what the relay shows does not
  std::uint64_t job_bytes_done = 0, job_bytes_total = 0;
  double bytes_per_second = 0;
  std::optional<std::chrono::seconds> eta;
  unsigned connections = 0;
  bool up = false;                                         // of a push
  std::vector<std::pair<Digest, std::uint64_t>> beside{};  // other blobs under way, with their real bytes
};
struct BlobVerified {
  BlobRef blob;
  std::chrono::milliseconds duration{0};  // since BlobStarted
};
struct BlobFinalized {
  BlobRef blob;
};
struct BlobRestarted {  // everything received of it is thrown away
  BlobRef blob;
  std::string reason;
  unsigned attempt = 0, max = 0;
};
struct ChunkMismatch {
  BlobRef blob;
  std::uint64_t start = 0, end = 0;  // inclusive
  unsigned attempt = 0, max = 0;
};
struct CheckpointDiscarded {
  BlobRef blob;
  std::string reason;
};
struct Retry {
  std::optional<BlobRef> blob;  // none: manifest
  std::string reason;
  unsigned attempt = 0;
  std::optional<unsigned> max;  // none: unlimited
  std::chrono::milliseconds backoff{0};
  int http_status = 0;
};
struct Refresh {
  std::optional<BlobRef> blob;
  bool url = false;  // else the token
  unsigned attempt = 0, max = 0;
};
struct Finding {  // what a verification found wrong
  enum class Kind { kDamaged, kMissing, kWrongSize, kUnreferenced, kBrokenManifest };
  Kind kind = Kind::kDamaged;
  std::optional<Digest> digest;
  std::vector<std::string> models;  // display names of those that it is about
  std::string message;
  bool repaired = false;
};
// Trace: shown with --verbose only.
struct RequestDone {
  registry::RequestTrace trace;
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
  std::uint64_t start = 0, end = 0;  // inclusive
};
struct ChunkVerified {
  BlobRef blob;
  std::uint64_t start = 0, end = 0;  // inclusive
};
struct CheckpointSaved {
  BlobRef blob;
  std::uint64_t bytes = 0;  // received bytes that it covers
};

using Report =
    std::variant<ManifestFetching, ManifestFetched, ManifestChanged, ManifestWritten, BlobStarted, BlobCached,
                 BlobWaitingForLock, BlobVerifying, BlobResumed, BlobAdopted, BlobProgress, BlobVerified, BlobFinalized,
                 BlobRestarted, ChunkMismatch, CheckpointDiscarded, Retry, Refresh, Finding, RequestDone,
                 ConnectionOpened, ConnectionClosed, ChunkStarted, ChunkVerified, CheckpointSaved>;

// Called from worker threads; must not block for long and must be thread-safe.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void report(const Report& report) = 0;
};

}  // namespace pullama::engine
