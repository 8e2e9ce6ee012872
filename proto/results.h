#pragma once
// What replies carry, a struct a method (methods.h says which).

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "proto/job.h"

namespace pullama::proto {

inline constexpr int kProtocolVersion = 1;

struct NoResult {};  // daemon.shutdown, events.unsubscribe

struct Limits {              // limits.get, limits.set
  std::uint64_t rate = 0;    // bytes a second over all jobs; 0: none
  unsigned connections = 0;  // to one blob; 0: found out
  unsigned parallel_models = 1;
};

struct JobCounts {
  std::uint64_t queued = 0, active = 0, waiting_network = 0, waiting_space = 0, paused = 0, completed = 0, failed = 0,
                cancelled = 0;
};
void count_job(JobCounts& counts, JobState state);

// What transfers go by, from the daemon's configuration; proxies without user and password, empty where there is none.
struct NetworkSettings {
  std::string http_proxy, https_proxy, no_proxy;
  std::string ca_file, ca_dir;  // certificates that are trusted
};

// One of the daemon's settings, as it is in effect.
struct DaemonSetting {
  std::string key;
  std::string value;  // for reading, without secrets; empty: nothing is set
  std::string from;   // "--socket", "$OLLAMA_MODELS", "/etc/pullama/pullamad.conf:3", "default", …
};

struct DaemonInfo {
  std::string version;
  int protocol = kProtocolVersion;
  std::string epoch;  // another one after each start
  std::uint64_t seq = 0;
  std::uint64_t pid = 0;
  std::uint64_t uptime_s = 0;
  std::string models_dir;
  std::string socket;
  JobCounts jobs;
  bool asleep = false;  // on demand after a crash: what was under way waits until something wakes it
  double rate = 0;      // bytes a second over all jobs, now
  Limits limits;
  std::optional<NetworkSettings> network;  // daemons before 0.2 do not say
  std::vector<DaemonSetting> settings;
  std::vector<std::string> warnings;  // about the configuration
};

struct KeyResult {         // daemon.key
  std::string path;        // of the private half
  std::string user;        // whose it is: the daemon's
  std::string public_key;  // "ssh-ed25519 AAAA…"
  bool created = false;    // just now
};

struct PlannedBlob {
  Digest digest = Digest::from_bytes({});
  std::uint64_t size = 0;
  std::uint64_t present_bytes = 0;  // == size: cached; between: in a partial that can go on
};

struct PullPlan {
  std::string model;
  std::string models_dir;
  Digest digest = Digest::from_bytes({});  // of the manifest
  std::vector<PlannedBlob> blobs;
  std::uint64_t total_bytes = 0;
  std::uint64_t travel_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t needed_bytes = 0;  // with the reserve of 64 MiB
};

// pull.start, push.start, store.verify, store.update, daemon.doctor: a job, or, for a dry run, the plan.
struct StartResult {
  std::optional<std::string> job;
  bool joined = false;  // with `job` only
  std::optional<PullPlan> plan;
};

struct JobList {
  std::vector<JobSnapshot> jobs;  // oldest first
};

struct JobStateResult {  // job.pause, job.resume, job.cancel
  std::string job;
  JobState state = JobState::kPaused;
  // job.cancel with unless_watched that did nothing: other connections that watch the job.
  std::optional<std::uint64_t> watchers;
};

struct QueueEntry {
  std::uint64_t position = 0;  // from 1; moves
  std::string id;              // the job's; stays
  std::string model;
  JobState state = JobState::kQueued;
  std::optional<Error> error;
  std::optional<std::string> models_dir;  // where it is not the daemon's own
};

struct QueueView {  // queue.list, remove, move, retry, clear, start, stop
  bool paused = true;
  std::vector<QueueEntry> entries;
};

struct QueueAdded {
  std::uint64_t position = 0;
  std::string id;
  std::string model;
};
struct QueueSkipped {
  std::string model;
  std::string why;
};
struct QueueAddResult {
  std::vector<QueueAdded> added;
  std::vector<QueueSkipped> skipped;
};

struct Snapshot {
  std::string epoch;
  std::vector<JobSnapshot> jobs;
  QueueView queue;
  Limits limits;
};

struct SubscribeResult {
  std::uint64_t seq = 0;  // the first event carries the number after this
  bool gap = false;
  std::optional<Snapshot> snapshot;  // none where the events after `since` follow instead
};

struct StoredModel {
  std::string model;
  std::optional<Digest> digest;  // of the manifest's bytes; its first 12 digits are the ID. None where unreadable
  std::uint64_t size = 0;
  Time modified{};
  std::optional<std::string> broken;      // why it cannot be used
  std::string remote_host, remote_model;  // of a cloud model, whose weights are elsewhere; else empty
};
struct StoreList {
  std::string models_dir;
  std::vector<StoredModel> models;      // newest first
  std::vector<std::string> unreadable;  // what could not be looked at, so that models may be missing here
};

struct StoredLayer {
  std::string media_type;
  Digest digest = Digest::from_bytes({});
  std::uint64_t size = 0;
  bool present = true;                   // the blob is there with that size
  std::string problem;                   // else why not: "missing", "wrong size", "no regular file"
  std::vector<std::string> shared_with;  // other models that name it
};
struct ModelParameter {
  std::string name;
  std::string value;  // as text
};
struct StoreShow {
  std::string model;
  std::string models_dir;
  Digest digest = Digest::from_bytes({});
  std::uint64_t size = 0;
  Time modified{};
  std::string format, family, parameter_size, quantization;  // from the config; empty where it does not say
  std::string remote_host, remote_model;                     // of a cloud model; else empty
  std::vector<StoredLayer> layers;                           // config first
  std::vector<std::string> licenses;
  std::string template_text, system_text;  // `template`, `system`; empty where there is none
  std::vector<ModelParameter> parameters;
};

struct BlobSize {
  Digest digest = Digest::from_bytes({});
  std::uint64_t size = 0;
};
struct StoreRemoveResult {
  std::vector<std::string> removed;
  std::vector<BlobSize> blobs;  // that nothing else names
  std::uint64_t freed_bytes = 0;
  std::uint64_t shared_blobs = 0;  // that stay
};

struct StoreCopyResult {
  std::string source;
  std::string destination;
  Digest digest = Digest::from_bytes({});
};

struct CleanedFile {
  std::string path;  // below the models dir
  std::uint64_t size = 0;
};
struct StoreCleanResult {
  std::vector<CleanedFile> removed;
  std::uint64_t freed_bytes = 0;
  std::uint64_t queue_entries = 0;             // that were removed
  std::uint64_t unfinished_bytes = 0;          // what `unfinished` would free beyond this
  std::vector<std::string> unfinished_models;  // and whose it is
};

struct OutdatedModel {
  std::string model;
  std::string state;  // "current", "outdated", "gone", "failed"
  std::optional<Digest> local, remote;
  std::vector<PlannedBlob> changed;  // blobs that the local manifest does not name
  std::uint64_t travel_bytes = 0;
  std::optional<Error> error;
};
struct StoreOutdatedResult {
  std::vector<OutdatedModel> models;
};

struct HistoryEntry {
  std::string job;
  JobKind kind = JobKind::kPull;
  std::string model;
  std::string models_dir;
  JobState state = JobState::kCompleted;  // a finished one
  Time started{}, finished{};
  std::uint64_t total_bytes = 0;
  std::uint64_t fetched_bytes = 0;  // that travelled
  std::uint64_t saved_bytes = 0;    // that a resume did not fetch again
  double rate = 0;                  // average, bytes a second
  std::uint64_t retries = 0;
  std::optional<Error> error;
};
struct HistoryList {
  std::vector<HistoryEntry> transfers;  // newest first
};

}  // namespace pullama::proto
