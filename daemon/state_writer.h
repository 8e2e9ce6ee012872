#pragma once
// The thread that makes the queue durable. Changes that come while a write is under way share the next one (group
// commit), so a hundred requests cost a few syncs, and a reply still leaves only after its own change is on the disk.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "common/result.h"
#include "daemon/queue/queue_codec.h"

namespace pullama {

class StateWriter {
 public:
  using Post = std::function<void(std::function<void()>)>;      // runs a function on the control thread
  using Save = std::function<Status(const std::string& text)>;  // durable on success; called on the writer's thread
  using Saved = std::function<void(Status)>;

  StateWriter(Save save, Post post);
  ~StateWriter();  // stop()
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  // Control thread. `saved` (may be empty) runs there once this state, or a later one, is durable, or could not be made
  // so. A state that could not be written is tried again every five seconds until it or a later one is.
  void write(queue::QueueData data, Saved saved);
  // Writes what is pending, joins. The callbacks are posted before it returns.
  void stop();

 private:
  void loop();

  const Save save_;
  const Post post_;
  std::mutex mutex_;  // guards the next three
  std::optional<queue::QueueData> pending_;
  std::vector<Saved> waiting_;
  bool stopping_ = false;
  std::condition_variable changed_;
  queue::Encoder encoder_;  // the thread's
  std::thread thread_;
};

}  // namespace pullama
