#pragma once
// Jobs without a store, an engine or a socket: a control loop that the test turns, transfers that end as the test says,
// timers that fire when the test says, and a queue file that can be broken.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/jobs.h"

namespace pullama::testing {

// Runs what is posted from any thread on the thread that turns it.
class Loop {
 public:
  void post(std::function<void()> work);
  // Turns until `done()`; fails the test when nothing is posted for ten seconds.
  void run_until(const std::function<bool()>& done);
  // Turns what is there now and what that posts.
  void run_pending();

 private:
  std::optional<std::function<void()>> take(bool wait);
  std::mutex mutex_;  // guards work_
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;
};

class ScriptedTransfers final : public Transfers {
 public:
  using Outcome = Result<engine::PullSummary>;

  Outcome run(const queue::Job& job, engine::ProgressSink& sink, std::stop_token stop) override;
  Result<engine::PullPlan> plan(const queue::Job& job, std::stop_token stop) override;
  void set_rate(std::uint64_t bytes_per_second) override { rate = bytes_per_second; }
  void set_connections(unsigned count) override { connections = count; }
  Result<std::uint64_t> free_bytes(const std::string& models_dir) override;

  // The run of this job that is under way, or the next one, ends so.
  void end(const std::string& id, Outcome outcome);
  // Reports from within the run of this job, before it ends.
  void report(const std::string& id, engine::Report report);
  int runs(const std::string& id) const;

  std::uint64_t rate = 0;
  unsigned connections = 0;
  std::uint64_t free = 0;
  bool hangs_on_stop = false;  // a sync that does not come back

 private:
  struct Script {
    int runs = 0;
    std::deque<engine::Report> reports;
    std::deque<Outcome> outcomes;
  };
  mutable std::mutex mutex_;  // guards scripts_
  std::condition_variable_any changed_;
  std::map<std::string, Script> scripts_;
};

engine::PullSummary summary(std::uint64_t total_bytes = 1000);
Error network();    // out of retries
Error disk_full();  // no room

// The two together with Jobs.
class Desk {
 public:
  explicit Desk(queue::QueueData data = {}, bool asleep = false);
  ~Desk();

  // Starts a pull and waits for the answer.
  Result<Jobs::Accepted> pull(const std::string& model, std::optional<std::uint64_t> session = 1);
  // The same, and it must be accepted.
  void start(const std::string& model, std::optional<std::uint64_t> session = 1);
  void add(const std::vector<std::string>& models);
  void wait_for(const std::string& id, queue::JobState state);
  void wait_for_runs(const std::string& id, int runs);
  // An operation that answers, turned until it does.
  Result<queue::JobState> ask(void (Jobs::*operation)(const std::string&, Jobs::Answer<queue::JobState>),
                              const std::string& id);
  Status settle(const std::function<void(Jobs::Answer<void>)>& operation);
  // Fires every timer that was set before, and says how long they were to wait.
  std::vector<std::chrono::milliseconds> fire_timers();
  // Types of the events since the last call, "job.started j1".
  std::vector<std::string> events();
  queue::JobState state(const std::string& id) const;

  Loop loop;
  ScriptedTransfers transfers;
  std::optional<Error> save_error;
  queue::QueueData saved;  // what the queue file holds
  int saves = 0;
  std::vector<store::HistoryEntry> history;
  std::vector<std::string> finished;  // "model result", as the user's command would get it
  std::vector<proto::Event> published;
  std::int64_t now_ms = 1'763'752'813'000;
  std::unique_ptr<Jobs> jobs;

 private:
  std::vector<std::pair<std::chrono::milliseconds, std::function<void()>>> timers_;
  std::size_t seen_ = 0;
};

// The last event of that type; nullptr where there is none.
const proto::Event* last(const Desk& desk, std::string_view type);

}  // namespace pullama::testing
