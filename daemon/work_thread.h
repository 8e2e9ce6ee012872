#pragma once
// One thread that does blocking work in the order in which it was given: the storage thread (library, SQLite). The
// control thread gives it work and never waits for it.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace pullama {

class WorkThread {
 public:
  WorkThread();
  ~WorkThread();  // stop()
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  // Any thread. After stop() the work is dropped.
  void post(std::function<void()> work);
  // Lets the work that runs finish, drops the rest, joins.
  void stop();

 private:
  void loop();

  std::mutex mutex_;  // guards the next two
  std::deque<std::function<void()>> work_;
  bool stopping_ = false;
  std::condition_variable changed_;
  std::thread thread_;
};

}  // namespace pullama
