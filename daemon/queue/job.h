#pragma once
// One transfer as it is remembered over restarts: a queue entry or a direct pull. Plain values; a Job that others hold
// is never changed (the queue replaces it), so a pointer may be handed to another thread as a snapshot.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"

namespace pullama::queue {

enum class JobKind { kPull, kPush };
enum class JobState { kQueued, kActive, kWaitingNetwork, kWaitingSpace, kPaused, kCompleted, kFailed, kCancelled };

// The words of the socket protocol and of queue.json.
std::string_view kind_name(JobKind kind);
std::string_view state_name(JobState state);
std::optional<JobKind> parse_kind(std::string_view text);
std::optional<JobState> parse_state(std::string_view text);

constexpr bool is_waiting(JobState state) {
  return state == JobState::kWaitingNetwork || state == JobState::kWaitingSpace;
}
constexpr bool is_finished(JobState state) {
  return state == JobState::kCompleted || state == JobState::kFailed || state == JobState::kCancelled;
}
// The only table of which state may follow which. A state never follows itself.
bool may_follow(JobState from, JobState to);

struct Job {
  std::string id;  // "j1", "j2", …: never given twice by one queue.json
  JobKind kind = JobKind::kPull;
  ModelName model;
  std::string models_dir;      // absolute
  std::string options = "{}";  // a compact JSON object; nobody here looks inside
  bool entry = false;          // of the queue; else direct
  JobState state = JobState::kQueued;
  std::optional<Error> error;                     // why it failed or waits
  std::uint64_t bytes_done = 0, bytes_total = 0;  // as last shown when its state changed
  std::string manifest;                           // digest of the manifest that it fetched last, empty before
  std::int64_t added_ms = 0, started_ms = 0, finished_ms = 0;  // Unix time, 0: not yet
};
using JobPtr = std::shared_ptr<const Job>;

struct Limits {
  std::uint64_t rate = 0;    // bytes a second over all jobs, 0: none
  unsigned connections = 0;  // to one blob, 0: found out
  unsigned parallel_models = 1;
  bool operator==(const Limits&) const = default;
};
inline constexpr unsigned kMaxConnections = 16;
inline constexpr unsigned kMaxParallelModels = 16;

// All that queue.json holds.
struct QueueData {
  std::uint64_t next_id = 1;
  bool paused = true;
  Limits limits;
  std::vector<JobPtr> entries;  // the queue, in order
  std::vector<JobPtr> direct;   // in order of their start
};

}  // namespace pullama::queue
