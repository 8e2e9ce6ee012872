#pragma once
// What requests carry, a struct a method (methods.h says which). read<T>() checks names, types and ranges; whether a
// model's name or a path is right is the daemon's to say. Optional members that are left out take the daemon's
// defaults.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pullama::proto {

inline constexpr std::uint64_t kMaxInteger = (1ULL << 53) - 1;  // the largest that every JSON reader keeps
inline constexpr std::size_t kMaxPathBytes = 4096;
// A subscription's filter.
inline constexpr std::size_t kMaxFilterJobs = 1024, kMaxFilterTypes = 64, kMaxJobIdBytes = 64;
inline constexpr unsigned kMaxConnections = 16;
inline constexpr unsigned kMaxParallelModels = 16;
inline constexpr unsigned kMaxRetriesAccepted = 1'000'000;
inline constexpr std::uint64_t kMaxHistoryEntries = 10'000;

struct RetryLimit {
  std::optional<unsigned> count;  // none: "unlimited"
  bool operator==(const RetryLimit&) const = default;
};

struct PullOptions {
  bool insecure = false;
  std::optional<RetryLimit> max_retries;
  std::optional<std::uint64_t> chunk_size;           // bytes
  std::optional<std::chrono::milliseconds> timeout;  // timeout_s on the wire, a number that may have a fraction
  std::optional<unsigned> connections;               // 1 to 16; left out: found out
  std::optional<std::uint64_t> limit_rate;           // bytes a second
  std::optional<std::string> ca_file;
  bool force = false;
  bool dry_run = false;
  bool detached = false;
  bool operator==(const PullOptions&) const = default;
};

struct NoParams {};  // daemon.info, queue.list, queue.clear, events.unsubscribe, limits.get

struct ShutdownParams {
  bool graceful = true;
};

struct KeyParams {      // daemon.key
  bool create = false;  // where there is none
};

struct StartParams {  // pull.start, push.start
  std::string model;
  PullOptions options;
  std::optional<std::string> models_dir;
};

struct JobListParams {
  std::optional<std::string> job;
};

struct JobParams {  // job.get, job.pause, job.resume
  std::string job;
};

struct JobCancelParams {
  std::string job;
  // Do nothing while another connection is subscribed to this very job; the reply says how many are.
  bool unless_watched = false;
};

struct QueueAddParams {
  std::vector<std::string> models;  // at least one
  PullOptions options;
  bool front = false;
  std::optional<std::string> models_dir;
};

// By position (from 1) or id: exactly one of them.
struct QueueEntryParams {  // queue.remove
  std::optional<std::uint64_t> position;
  std::optional<std::string> id;
};

struct QueueMoveParams {
  std::optional<std::uint64_t> position;
  std::optional<std::string> id;
  std::uint64_t to = 1;
};

struct QueueRetryParams {  // neither: every failed entry
  std::optional<std::uint64_t> position;
  std::optional<std::string> id;
};

struct QueueStopParams {
  bool after_current = true;
  // Do nothing while another connection that sent queue.start is there; `paused` of the reply tells which it was.
  bool unless_attached = false;
};

struct SubscribeParams {
  std::optional<std::uint64_t> since;
  std::optional<std::string> epoch;  // the one that `since` was counted in
  std::vector<std::string> jobs;     // empty: all
  std::vector<std::string> types;    // names of event types; empty: all
  bool trace = false;
};

struct StoreListParams {
  std::optional<std::string> models_dir;
};

struct StoreShowParams {
  std::string model;
  std::optional<std::string> models_dir;
};

struct StoreRemoveParams {
  std::vector<std::string> models;  // `model` for one is taken too
  bool dry_run = false;
  std::optional<std::string> models_dir;
};

struct StoreCopyParams {
  std::string source;
  std::string destination;
  std::optional<std::string> models_dir;
};

struct StoreCleanParams {
  bool dry_run = false;
  bool queue = false;         // the queue's entries too
  bool unreferenced = false;  // blobs that no manifest names too
  bool unfinished = false;    // partials of waiting, failed and paused jobs too
  std::optional<std::string> models_dir;
};

struct StoreOutdatedParams {
  std::vector<std::string> models;  // empty: all
  PullOptions options;
  std::optional<std::string> models_dir;
};

struct MaintenanceParams {  // store.verify, store.update, daemon.doctor
  std::vector<std::string> models;
  bool all = false;
  bool repair = false;
  PullOptions options;
  std::optional<std::string> models_dir;
};

struct LimitsSetParams {                // what is left out stays
  std::optional<std::uint64_t> rate;    // bytes a second; 0: none
  std::optional<unsigned> connections;  // to one blob, 1 to 16; 0: found out
  std::optional<unsigned> parallel_models;
};

struct HistoryListParams {
  std::optional<std::uint64_t> limit;
  std::optional<std::string> model;
};

}  // namespace pullama::proto
