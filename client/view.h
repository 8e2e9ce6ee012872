#pragma once
// What the screen says, folded from a snapshot and the events after it. Pure: no clock, no terminal. Figures never run
// backwards and never pass 100 %, whatever order events come in and whoever sent them; percentages are rounded down.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/bar.h"
#include "proto/events.h"
#include "proto/job.h"
#include "proto/results.h"

namespace pullama::client {

struct Transfer {
  std::string job;
  proto::JobKind kind = proto::JobKind::kPull;
  std::string model;
  std::string models_dir;  // empty where only events told of the job
  proto::JobState state = proto::JobState::kQueued;
  std::optional<std::uint64_t> queue_position;
  unsigned blob_count = 0;
  bool has_manifest = false;
  std::uint64_t done_bytes = 0, total_bytes = 0;
  unsigned percent = 0;
  double rate = 0;
  std::optional<std::chrono::seconds> eta;
  unsigned connections = 0;
  std::optional<Error> error;
  std::string waits_for;
  std::optional<proto::event::JobCompleted> summary;

  bool is_finished() const { return proto::is_finished(state); }
  Figures figures() const { return {done_bytes, total_bytes, percent, rate, eta}; }
};

class View {
 public:
  // A new story: what it does not name is gone, but the figures of what goes on are kept where they are higher.
  void reset(const proto::Snapshot& snapshot);
  void put(const proto::JobSnapshot& snapshot);
  void apply(const proto::Event& event);
  // The same pull under another id, after the daemon was started again.
  void rename(const std::string& before, const std::string& after);

  const Transfer* find(const std::string& job) const;
  std::vector<const Transfer*> transfers() const;  // in the order in which they were first heard of
  const proto::QueueView& queue() const { return queue_; }

 private:
  struct Blob {
    std::uint64_t size = 0, done = 0;
  };
  struct Entry {
    Transfer shown;
    std::map<Digest, Blob> blobs;
    std::uint64_t blob_bytes = 0;  // the sum of `done`
    std::uint64_t order = 0;
  };
  Entry& entry(const std::string& job);
  static void raise_blob(Entry& entry, const Digest& digest, std::uint64_t size, std::uint64_t done);
  static void raise(Transfer& shown, std::uint64_t done, std::uint64_t total);

  std::map<std::string, Entry> entries_;
  proto::QueueView queue_;
  std::uint64_t next_order_ = 0;
};

}  // namespace pullama::client
