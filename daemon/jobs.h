#pragma once
// What is to be done and what is being done: owns the queue, starts and stops transfers, decides what the end of each
// means, makes every change durable before it is answered, and publishes it. Control thread only; nothing here blocks.
//
// Each public operation answers through its callback once queue.json holds its effect. State changes and their events
// happen in one turn of the loop, so a snapshot taken between turns fits the events after it.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/job_progress.h"
#include "daemon/job_runner.h"
#include "daemon/jobs_ports.h"
#include "daemon/queue/queue.h"
#include "proto/events.h"
#include "proto/results.h"

namespace pullama {

proto::JobKind wire_kind(queue::JobKind kind);

class Jobs {
 public:
  template <class T>
  using Answer = std::function<void(Result<T>)>;

  // Asleep: nothing runs until wake(). Else what was interrupted goes on at once with resume_interrupted().
  Jobs(queue::QueueData data, bool asleep, Transfers& transfers, JobsPorts ports);

  const queue::Queue& queue() const { return queue_; }
  void wake();
  // Any of these waits for wake().
  bool was_interrupted(const std::vector<std::string>& ids) const;
  void resume_interrupted();
  struct Accepted {
    std::string id;
    bool joined = false;
  };
  // A pull or a push. `session` waits for it; none: it is detached.
  void start(queue::NewJob wanted, std::optional<std::uint64_t> session, Answer<Accepted> answer);
  void plan(queue::NewJob wanted, Answer<engine::PullPlan> answer);
  // Graceful: answers when what was received is checkpointed. Each may be called again without effect.
  void pause(const std::string& id, Answer<queue::JobState> answer);
  void resume(const std::string& id, Answer<queue::JobState> answer);
  void cancel(const std::string& id, Answer<queue::JobState> answer);
  bool waits_for(std::uint64_t session, const std::string& id) const;
  // The client went away, or waits no longer for this job (every job without an id).
  void detach(std::uint64_t session, const std::string& id = {});

  void add(const std::vector<queue::NewJob>& models, bool front, Answer<queue::Queue::AddResult> answer);
  void remove(const std::string& id, Answer<void> answer);
  void move(const std::string& id, std::size_t to, Answer<void> answer);
  void retry(const std::optional<std::string>& id, Answer<void> answer);  // none: all failed ones
  void clear(Answer<void> answer);
  void start_queue(Answer<void> answer);
  void stop_queue(bool after_current, Answer<void> answer);
  void set_limits(const queue::Limits& limits, Answer<void> answer);

  // By id, or by model name: the unfinished job of that model, else the one that finished last. kNotFound.
  Result<queue::JobPtr> find(const std::string& job) const;
  proto::JobSnapshot show(const queue::Job& job) const;
  std::vector<proto::JobSnapshot> list() const;                          // oldest first
  proto::Snapshot snapshot(const std::vector<std::string>& only) const;  // these jobs and entries; empty: all
  proto::QueueView view() const;
  proto::JobCounts counts() const;
  bool is_asleep() const;  // something was under way when the daemon before ended, and waits to be woken
  double rate() const;
  bool busy() const;  // something runs or will run by itself

  // Stops everything; what was active stays active in queue.json. `done` runs when nothing runs any more.
  void shut_down(std::function<void()> done);
  bool stopping() const { return stopping_; }

 private:
  enum class Goal { kNone, kPause, kCancel, kRequeue, kShutdown };
  // What is known of a job beyond queue.json, from its first start in this process on.
  struct Live {
    JobProgress progress;
    Goal goal = Goal::kNone;
    bool again = false;                        // resumed while it was being paused
    std::set<std::uint64_t> waiting_sessions;  // of clients that wait for its end
    std::vector<std::function<void()>> when_stopped;
    unsigned failures = 0;                     // in a row, without a byte gained
    std::uint64_t turn = 0;                    // a timer of an earlier turn means nothing
    std::uint64_t bytes_before = 0;            // of the run
    std::optional<std::uint64_t> free_before;  // when it began to wait for space
    std::optional<proto::Time> waiting_until;
    std::chrono::milliseconds worked{0};
  };

  void publish(const queue::Job& job, proto::EventBody body);
  void publish_queue(const std::string& change, std::vector<std::string> ids);
  // Saves; then answers, unless that failed.
  void settle(std::function<void(Status)> then = {});
  template <class T>
  void answer_durably(Answer<T> answer, T value);
  // The queue as it would be is written before it is so: what cannot be made durable is not done.
  void save_first(const queue::Queue& as_it_would_be, Answer<void> answer, std::function<void(Answer<void>)> then);
  void apply_limits(const queue::Limits& limits);
  queue::JobPtr mark(const std::string& id, queue::JobState to, std::optional<Error> error = {});
  void activate(const std::string& id, bool resumed);
  // activate() where there is a place: an entry's among parallel_models, the runner's for a direct job and for what
  // somebody wants now. Else the job is queued, where it stands, until pump() finds one.
  void activate_in_turn(const std::string& id, bool wanted_now, bool resumed);
  bool has_place(const queue::Job& job, bool wanted_now) const;
  void pump();
  void stop_run(const std::string& id, Goal goal, std::function<void()> then);
  void cancel_now(const queue::JobPtr& job);

  void on_reports(const std::string& id, const std::vector<engine::Report>& reports);
  void on_end(const std::string& id, JobRunner::Outcome outcome, std::chrono::milliseconds duration);
  void completed(const queue::JobPtr& job, Live& live, const engine::PullSummary& summary);
  void failed(const queue::JobPtr& job, Live& live, Error error);
  void wait_for_network(const queue::JobPtr& job, Live& live, Error error);
  void wait_for_space(const queue::JobPtr& job, Live& live, Error error);
  void watch_space(const std::string& id, std::uint64_t turn, std::int64_t since_ms);
  static std::uint64_t travelled(const Live& live, const engine::PullSummary* summary);
  void remember(const queue::Job& job, const Live& live, const engine::PullSummary* summary);
  void let_go(const std::string& id);

  queue::Queue queue_;
  Transfers& transfers_;
  JobsPorts ports_;
  std::unordered_map<std::string, Live> live_;
  std::deque<std::string> wanted_now_;  // queued until the runner has room, first come, first served
  std::deque<std::string> finished_;    // whose Live is kept for those who ask a moment later
  std::uint64_t published_revision_ = 0;
  bool stopping_ = false;
  std::function<void()> when_idle_;
  JobRunner runner_;  // last: its threads end before anything else goes
};

}  // namespace pullama
