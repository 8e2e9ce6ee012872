#pragma once
// A job as everyone sees it: what job.list and a subscription's snapshot send.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "proto/timestamp.h"

namespace pullama::proto {

enum class JobKind { kPull, kPush, kVerify, kUpdate, kDoctor };

enum class JobState {
  kQueued,          // waits for its turn
  kActive,          // works
  kWaitingNetwork,  // out of retries; tried again by itself
  kWaitingSpace,    // the disk is full; goes on by itself
  kPaused,
  kCompleted,
  kFailed,
  kCancelled,
};

enum class BlobState {
  kPending,      // not looked at yet
  kCached,       // was there already
  kDownloading,  // or uploading, in a push
  kVerifying,    // what is on disk is hashed, before or after the transfer
  kDone,         // verified and under its final name
  kFailed,
};

std::string_view name_of(JobKind kind);
std::string_view name_of(JobState state);
std::string_view name_of(BlobState state);
std::optional<JobKind> job_kind(std::string_view name);
std::optional<JobState> job_state(std::string_view name);
std::optional<BlobState> blob_state(std::string_view name);

// Completed, failed or cancelled: nothing more will happen by itself.
constexpr bool is_finished(JobState state) {
  return state == JobState::kCompleted || state == JobState::kFailed || state == JobState::kCancelled;
}

struct BlobSnapshot {
  Digest digest = Digest::from_bytes({});
  std::uint64_t size = 0;
  BlobState state = BlobState::kPending;
  std::uint64_t bytes_done = 0;
};

struct JobSnapshot {
  std::string id;
  JobKind kind = JobKind::kPull;
  std::string model;       // shortest name with its tag; empty for a job that is not about one model
  std::string models_dir;  // absolute
  bool insecure = false;   // over http: a command line that is to do the same needs the flag
  JobState state = JobState::kQueued;
  std::vector<BlobSnapshot> blobs;  // in manifest order, config last; empty before the manifest is there
  std::uint64_t bytes_done = 0;     // never falls
  std::uint64_t bytes_total = 0;    // each digest once; 0 before the manifest is there
  double rate = 0;                  // bytes a second, now
  std::optional<std::uint64_t> eta_s;
  unsigned connections = 0;
  std::uint64_t retries = 0;
  std::optional<Error> error;  // of a failed job, or why it waits
  std::optional<Time> waiting_until;
  Time created{};
  std::optional<Time> started;
  std::optional<Time> finished;
};

}  // namespace pullama::proto
