#include "daemon/queue/job.h"

#include <array>
#include <utility>

namespace pullama::queue {
namespace {

constexpr std::array<std::pair<JobKind, std::string_view>, 2> kKinds{{
    {JobKind::kPull, "pull"},
    {JobKind::kPush, "push"},
}};

constexpr std::array<std::pair<JobState, std::string_view>, 8> kStates{{
    {JobState::kQueued, "queued"},
    {JobState::kActive, "active"},
    {JobState::kWaitingNetwork, "waiting_network"},
    {JobState::kWaitingSpace, "waiting_space"},
    {JobState::kPaused, "paused"},
    {JobState::kCompleted, "completed"},
    {JobState::kFailed, "failed"},
    {JobState::kCancelled, "cancelled"},
}};

template <class Table, class Value>
std::string_view name_of(const Table& table, Value value) {
  for (const auto& [known, name] : table) {
    if (known == value) return name;
  }
  return {};
}

template <class Value, class Table>
std::optional<Value> value_of(const Table& table, std::string_view text) {
  for (const auto& [value, name] : table) {
    if (name == text) return value;
  }
  return std::nullopt;
}

constexpr bool allowed(JobState from, JobState to) {
  switch (from) {
    case JobState::kQueued:
      return to == JobState::kActive || to == JobState::kPaused || to == JobState::kCancelled;
    case JobState::kActive:  // back to queued: the queue was stopped at once
      return true;
    case JobState::kWaitingNetwork:
    case JobState::kWaitingSpace:
      return to == JobState::kActive || to == JobState::kQueued || to == JobState::kPaused ||
             to == JobState::kCancelled || to == JobState::kFailed;
    case JobState::kPaused:
      return to == JobState::kActive || to == JobState::kQueued || to == JobState::kCancelled;
    case JobState::kFailed:  // retry
    case JobState::kCancelled:
      return to == JobState::kQueued;
    case JobState::kCompleted:
      return false;
  }
  return false;
}

}  // namespace

std::string_view kind_name(JobKind kind) { return name_of(kKinds, kind); }
std::string_view state_name(JobState state) { return name_of(kStates, state); }
std::optional<JobKind> parse_kind(std::string_view text) { return value_of<JobKind>(kKinds, text); }
std::optional<JobState> parse_state(std::string_view text) { return value_of<JobState>(kStates, text); }
bool may_follow(JobState from, JobState to) { return from != to && allowed(from, to); }

}  // namespace pullama::queue
