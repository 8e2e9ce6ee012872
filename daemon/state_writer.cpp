#include "daemon/state_writer.h"

#include <spdlog/spdlog.h>
#include <chrono>
#include <utility>

namespace pullama {
namespace {

constexpr std::chrono::seconds kRetryInterval{5};

}  // namespace

StateWriter::StateWriter(Save save, Post post)
    : save_(std::move(save)), post_(std::move(post)), thread_([this] { loop(); }) {}

StateWriter::~StateWriter() { stop(); }

void StateWriter::write(queue::QueueData data, Saved saved) {
  {
    const std::lock_guard lock(mutex_);
    pending_ = std::move(data);
    if (saved) waiting_.push_back(std::move(saved));
  }
  changed_.notify_one();
}

void StateWriter::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void StateWriter::loop() {
  std::optional<queue::QueueData> failed;
  for (;;) {
    std::optional<queue::QueueData> data;
    std::vector<Saved> waiting;
    bool last_chance = false;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return stopping_ || pending_.has_value(); };
      if (failed) {
        changed_.wait_for(lock, kRetryInterval, ready);
      } else {
        changed_.wait(lock, ready);
      }
      last_chance = stopping_;
      data = std::exchange(pending_, std::nullopt);
      waiting.swap(waiting_);
      auto older = std::exchange(failed, std::nullopt);
      if (!data) data = std::move(older);
      if (!data) return;  // stopping, and nothing is left to write
    }
    Status status = save_(encoder_.encode(*data));
    if (!status) {
      spdlog::error("the queue could not be written: {}", status.error().message);
      if (!last_chance) failed = std::move(data);
    }
    if (!waiting.empty()) {
      post_([waiting = std::move(waiting), status = std::move(status)] {
        for (const Saved& saved : waiting) saved(status);
      });
    }
  }
}

}  // namespace pullama
