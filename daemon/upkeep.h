#pragma once
// Jobs that look after what is installed: verify, update, doctor. They have events, progress and an end like transfers,
// but no place in queue.json: they end with the daemon, and who wants one asks again. Each runs on a thread of its own,
// kMaxThreads at a time; those beyond wait for one another. Control thread only, but for the work that it runs.

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/job_progress.h"
#include "daemon/progress_relay.h"
#include "proto/events.h"
#include "proto/results.h"

namespace pullama {

struct UpkeepPorts {
  std::function<void(proto::Event)> publish;
  std::function<void(std::function<void()>)> post;  // any thread: runs it on the control thread
};

// What a job's work may say while it runs. Any thread.
class UpkeepVoice {
 public:
  virtual ~UpkeepVoice() = default;
  virtual const std::string& job() const = 0;  // its id
  // Where to report what is about this model (its display name; empty: about none). Lives as long as the voice.
  virtual engine::ProgressSink& about(const std::string& model) = 0;
  // Which blobs the job will go through, each digest once: what its figures count.
  virtual void expect(const std::vector<engine::BlobRef>& blobs, std::uint64_t total_bytes) = 0;
  // An event of the job's, as it is.
  virtual void tell(proto::EventBody body) = 0;
};

struct UpkeepSummary {
  std::uint64_t total_bytes = 0, fetched_bytes = 0, saved_bytes = 0;
  unsigned blobs = 0;
  std::uint64_t retries = 0;
};

struct UpkeepTask {
  proto::JobKind kind = proto::JobKind::kVerify;
  std::string model;  // display name, empty when it is not about one
  std::string models_dir;
  std::string key;  // the same: a task that runs already is joined instead
  std::function<Result<UpkeepSummary>(UpkeepVoice&, std::stop_token)> work;
};

class Upkeep {
 public:
  static constexpr std::size_t kMaxThreads = 64;
  static constexpr std::size_t kMaxWaiting = 1000;  // more are refused

  explicit Upkeep(UpkeepPorts ports);
  ~Upkeep();  // stops all and waits for them
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

  // kInvalidArgument where too many wait already.
  Result<proto::StartResult> start(UpkeepTask task);
  // By id; nullopt where there is none of ours (any more: of the finished the last few are known).
  std::optional<proto::JobSnapshot> find(const std::string& id) const;
  // Answers when the work has ended. May be repeated.
  void cancel(const std::string& id, std::function<void(proto::JobState)> answer);
  void add_to(std::vector<proto::JobSnapshot>& jobs) const;
  void count_in(proto::JobCounts& counts) const;
  double rate() const;
  bool busy() const { return !threads_.empty(); }

  // Blocking work whose answer, a Result, somebody waits for, without being a job. `answer` is called on the control
  // thread.
  template <class T>
  void ask(std::function<T(std::stop_token)> work, std::function<void(T)> answer) {
    if (auto room = room_for_one_more(); !room) return answer(T(fail(room.error())));
    run({[work = std::move(work), answer](const std::stop_token& stop) -> Finish {
           return [answer, result = work(stop)]() mutable { answer(std::move(result)); };
         },
         [] {}, [answer](const Error& error) { answer(T(fail(error))); }});
  }

  // Asks everything to stop.
  void request_stop();
  // The same; `done` runs when nothing runs any more.
  void shut_down(std::function<void()> done);

 private:
  class Voice;
  struct Job;
  using Finish = std::function<void()>;
  struct Work {
    std::function<Finish(const std::stop_token&)> run;  // on a thread of its own; the others on the control thread
    std::function<void()> begun;
    std::function<void(const Error&)> refused;  // instead of begun
    std::uint64_t number = 0;
  };
  Status room_for_one_more() const;
  // Its number.
  std::uint64_t run(Work work);
  void start_waiting();
  void begin(const std::string& id);
  void ended(std::uint64_t number, const Finish& finish);
  void finish(const std::string& id, const Result<UpkeepSummary>& outcome, std::chrono::milliseconds duration);
  void on_reports(const std::string& id, const std::string& model, const std::vector<engine::Report>& reports);
  void publish(const Job& job, const std::string& model, proto::EventBody body) const;

  const UpkeepPorts ports_;
  struct Older {  // ids are "u1", "u2", …
    bool operator()(const std::string& a, const std::string& b) const {
      return a.size() != b.size() ? a.size() < b.size() : a < b;
    }
  };
  std::map<std::string, std::unique_ptr<Job>, Older> jobs_;
  std::deque<std::string> finished_;
  std::map<std::uint64_t, std::jthread> threads_;
  std::deque<Work> waiting_;
  std::uint64_t next_ = 1;
  std::function<void()> when_idle_;
};

}  // namespace pullama
