#include "proto/job.h"

#include <array>

namespace pullama::proto {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 5> kKinds{"pull", "push", "verify", "update", "doctor"};
constexpr std::array<std::string_view, 8> kStates{"queued", "active",    "waiting_network", "waiting_space",
                                                  "paused", "completed", "failed",          "cancelled"};
constexpr std::array<std::string_view, 6> kBlobStates{"pending",   "cached", "downloading",
                                                      "verifying", "done",   "failed"};

template <class E, std::size_t N>
std::optional<E> find(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<E>(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(JobKind kind) { return kKinds.at(static_cast<std::size_t>(kind)); }
std::string_view name_of(JobState state) { return kStates.at(static_cast<std::size_t>(state)); }
std::string_view name_of(BlobState state) { return kBlobStates.at(static_cast<std::size_t>(state)); }
std::optional<JobKind> job_kind(std::string_view name) { return find<JobKind>(kKinds, name); }
std::optional<JobState> job_state(std::string_view name) { return find<JobState>(kStates, name); }
std::optional<BlobState> blob_state(std::string_view name) { return find<BlobState>(kBlobStates, name); }

}  // namespace pullama::proto
