#include "daemon/work_thread.h"

#include <utility>

namespace pullama {

WorkThread::WorkThread() : thread_([this] { loop(); }) {}
WorkThread::~WorkThread() { stop(); }

void WorkThread::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    work_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.clear();
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WorkThread::loop() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !work_.empty(); });
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

}  // namespace pullama
