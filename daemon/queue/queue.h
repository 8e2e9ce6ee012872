#pragma once
// What is to be transferred, in which order and state: the queue's entries and the direct jobs. A pure state machine:
// no file, no thread, no clock (callers say what time it is). The control thread owns it; snapshots (data()) may go to
// others.
//
// The queue runs or is paused. It starts paused, runs from start() until stop() or until nothing is left to do, and is
// then paused again: adding to a queue that has run dry starts nothing.
// Asleep (an on-demand daemon after its start) nothing runs until wake(); states stay what they were.

#include <cstddef>
#include <unordered_map>

#include "daemon/queue/job.h"

namespace pullama::queue {

struct NewJob {
  JobKind kind = JobKind::kPull;
  ModelName model;
  std::string models_dir;
  std::string options = "{}";
};

class Queue {
 public:
  // Finished jobs beyond these are forgotten, oldest first (failed entries never): the history has them.
  static constexpr std::size_t kMaxFinishedEntries = 1000;
  static constexpr std::size_t kMaxFinishedDirect = 100;
  static constexpr std::size_t kMaxEntries = 100'000;
  static constexpr std::size_t kMaxDirect = 10'000;  // the caller's to keep

  Queue() = default;
  // What was active is active again. `data` must be as queue_file gives it (ids unique, next_id above them).
  explicit Queue(QueueData data, bool asleep = false);

  // A cheap copy of everything: the jobs are shared.
  QueueData data() const { return data_; }
  const std::vector<JobPtr>& entries() const { return data_.entries; }
  const std::vector<JobPtr>& direct() const { return data_.direct; }
  bool paused() const { return data_.paused; }
  bool asleep() const { return asleep_; }
  const Limits& limits() const { return data_.limits; }
  // Grows with every change of the queue's own order, entries or paused/running.
  std::uint64_t queue_revision() const { return queue_revision_; }

  JobPtr find(const std::string& id) const;        // nullptr where there is none
  JobPtr find_open(const ModelName& model) const;  // an unfinished job of that model in any store
  JobPtr find_open(JobKind kind, const ModelName& model, const std::string& models_dir) const;
  JobPtr at(std::size_t position) const;                 // from 1
  std::size_t position_of(const std::string& id) const;  // from 1; 0: no queue entry

  struct Skipped {
    ModelName model;
    std::string why;
  };
  struct AddResult {
    std::vector<JobPtr> added;
    std::vector<Skipped> skipped;
    std::vector<std::string> replaced;  // ids of finished entries that gave way
  };
  // At the end, or before the first queued entry. What is unfinished (also as a direct job) is skipped with the reason;
  // a finished entry of the same model gives way to the new one.
  AddResult add(const std::vector<NewJob>& models, bool front, std::int64_t now_ms);
  // Any entry that is not being transferred. An unfinished one is cancelled by it.
  Result<JobPtr> remove(const std::string& id);
  // To the place `to`, counted from 1 after the removal.
  Status move(const std::string& id, std::size_t to);
  // Failed and cancelled entries (all failed ones without an id) are queued again, where they stand.
  Result<std::vector<JobPtr>> retry(const std::optional<std::string>& id = {});
  // All entries that remove() would take.
  std::vector<JobPtr> clear();
  // Runs (and wakes); true if it was not running.
  bool start();
  // Pauses; entries that wait for network or space are queued again. Active ones are the caller's to stop or to let
  // finish.
  std::vector<JobPtr> stop();

  struct StartResult {
    JobPtr job;
    bool joined = false;
  };
  // A direct pull: a new job (queued; the caller marks it active), or the unfinished one of that model and store, which
  // takes the new options unless it is active.
  StartResult start_direct(NewJob wanted, std::int64_t now_ms);
  // Undoes an add or start that could not be made durable.
  void forget(const std::string& id);

  // The next queued entry if the queue runs, is awake and has fewer than parallel_models active.
  JobPtr next_to_run() const;
  // After a restart: all that was active or waiting.
  std::vector<JobPtr> interrupted() const;
  void wake() { asleep_ = false; }
  std::size_t count(JobState state) const;

  // The only door to a new state; kInvalidArgument names both states where may_follow() forbids it. `error` is kept
  // with failed and waiting states and dropped by all others.
  Result<JobPtr> mark(const std::string& id, JobState to, std::int64_t now_ms, std::optional<Error> error = {});
  void note_manifest(const std::string& id, const std::string& digest);
  void note_figures(const std::string& id, std::uint64_t bytes_done, std::uint64_t bytes_total);

  Status set_limits(const Limits& limits);

 private:
  JobPtr make(NewJob wanted, bool entry, std::int64_t now_ms);
  void insert_index(const JobPtr& job);
  void erase_index(const Job& job);
  void replace(const JobPtr& job);
  void drop_finished();
  void settle();
  // Asleep nothing is, whatever was active when the last daemon ended.
  bool transferred_now(const Job& job) const { return job.state == JobState::kActive && !asleep_; }

  QueueData data_;
  bool asleep_ = false;
  std::uint64_t queue_revision_ = 1;
  std::unordered_map<std::string, JobPtr> by_id_;
  std::unordered_map<std::string, std::string> open_;  // kind, store and model of an unfinished job → its id
};

}  // namespace pullama::queue
