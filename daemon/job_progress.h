#pragma once
// One job's progress as it is shown: a pure fold from the engine's reports to what a snapshot says and which event
// leaves. What is shown never falls and never passes 100 %: the highest figure so far is held until the real one passes
// it, also over a new run of the same job. Rate and ETA are the real ones. Control thread.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/engine/progress.h"
#include "proto/events.h"
#include "proto/job.h"

namespace pullama {

class JobProgress {
 public:
  // The event that this report becomes.
  proto::EventBody apply(const engine::Report& report);
  // What a job that fetches no manifest of its own is about; total_bytes is their sum.
  void expect(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes);
  // What was shown before, where nothing is known yet: what is shown later does not fall below it.
  void hold(std::uint64_t bytes_done, std::uint64_t bytes_total);
  // The run is over: nothing travels now.
  void stopped();
  // It ended well: everything is there.
  void completed();

  // Fills in blobs, bytes, rate, ETA, connections and retries.
  void show(proto::JobSnapshot& snapshot) const;
  std::uint64_t bytes_done() const { return bytes_done_; }
  std::uint64_t bytes_total() const { return bytes_total_; }
  // Of all runs: what travelled, as far as samples say, and what the first of them found in partials.
  std::uint64_t fetched_bytes() const;
  std::uint64_t resumed_bytes() const;
  std::uint64_t retries() const { return retries_; }
  double rate() const { return rate_; }

 private:
  proto::BlobSnapshot* blob(const engine::BlobRef& ref);
  void set_blobs(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes);
  void advance(const engine::BlobRef& ref, proto::BlobState state, std::uint64_t bytes_done);
  void sample(const engine::BlobProgress& report);
  void found(const engine::BlobRef& ref, std::uint64_t bytes);
  void sum_up();

  std::vector<proto::BlobSnapshot> blobs_;
  std::map<Digest, std::size_t> index_;    // into blobs_
  std::map<Digest, std::uint64_t> found_;  // bytes of a blob that were there before any of it travelled
  std::uint64_t bytes_done_ = 0, bytes_total_ = 0;
  double rate_ = 0;
  std::optional<std::uint64_t> eta_s_;
  unsigned connections_ = 0;
  std::uint64_t retries_ = 0;
};

}  // namespace pullama
