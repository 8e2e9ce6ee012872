#pragma once
// The methods of the socket protocol (proto/PROTOCOL.md), each one short function: reads the request, asks the jobs or
// the storage thread, answers. Control thread only.

#include <chrono>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "daemon/jobs.h"
#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/event_hub.h"
#include "daemon/settings_reload.h"
#include "daemon/stores.h"
#include "daemon/upkeep.h"
#include "proto/params.h"

namespace pullama {

struct ServiceConfig {
  std::string models_dir;  // the daemon's own
  std::function<std::string()> socket;
  std::function<void(std::function<void()>)> post;     // any thread: runs it on the control thread
  std::function<void(std::function<void()>)> storage;  // runs it on the storage thread
  std::function<std::vector<store::HistoryEntry>(std::size_t limit, const std::string& model)>
      history;  // storage thread
  std::function<void(bool graceful)> shut_down;
  ChosenLimits* limits = nullptr;                            // what limits.set changes; never null
  std::function<void(proto::DaemonInfo&)> describe;          // adds what is in effect
  std::function<Result<proto::KeyResult>(bool create)> key;  // storage thread
};

// The models dir that a request means: `wanted` normalised, or the daemon's own. kInvalidArgument for a relative path.
Result<std::string> models_dir_of(const std::optional<std::string>& wanted, const std::string& own);

class Service {
 public:
  Service(Jobs& jobs, Upkeep& upkeep, Stores& stores, rpc::EventHub& hub, ServiceConfig config);
  void add_methods(rpc::Dispatcher& dispatcher);

 private:
  using Session = rpc::SessionContext;
  using Reply = rpc::Reply;
  // Handlers of std::function must be copyable, a Reply is not.
  static std::shared_ptr<Reply> shared(Reply reply) { return std::make_shared<Reply>(std::move(reply)); }

  void info(Reply reply) const;
  void shutdown(const proto::ShutdownParams& params, Reply reply);
  void start(queue::JobKind kind, const proto::StartParams& params, Session& session, Reply reply);
  // Notes that the session waits for what it asks for, until it closes.
  void note_waiting(Session& session);
  void job_cancel(const proto::JobCancelParams& params, Session& session, Reply reply);
  void upkeep_cancel(const proto::JobSnapshot& job, const proto::JobCancelParams& params, Session& session,
                     Reply reply);
  void queue_add(const proto::QueueAddParams& params, Reply reply);
  void limits_set(const proto::LimitsSetParams& params, Reply reply);
  void history_list(const proto::HistoryListParams& params, Reply reply);

  void add_job_methods(rpc::Dispatcher& dispatcher);
  void add_queue_methods(rpc::Dispatcher& dispatcher);

  Result<queue::NewJob> new_job(const std::string& model, const proto::PullOptions& options,
                                const std::optional<std::string>& models_dir) const;
  Result<std::string> entry_id(const std::optional<std::uint64_t>& position,
                               const std::optional<std::string>& id) const;
  // Goes on with `then` once the models dir is ours to write into; answers the error itself, `locked` among them, so
  // that the client can go to the daemon that has the folder. `then` gets the one name under which the folder's jobs
  // are known, however many paths lead to it.
  void when_writable(const std::string& models_dir, std::shared_ptr<Reply> reply,
                     std::function<void(const std::string&)> then);
  // Answers with the queue once the operation is durable.
  Jobs::Answer<void> answer_queue(Reply reply);
  Jobs::Answer<queue::JobState> answer_state(const std::string& id, Reply reply);
  // Runs `work` on the storage thread and answers with what it returns.
  template <class T>
  void answer_from_storage(Reply reply, std::function<Result<T>()> work);

  Jobs& jobs_;
  Upkeep& upkeep_;
  Stores& stores_;
  rpc::EventHub& hub_;
  ServiceConfig config_;
  std::set<std::uint64_t> sessions_;        // open ones that have waited for a pull
  std::set<std::uint64_t> queue_starters_;  // open ones that sent queue.start
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace pullama
