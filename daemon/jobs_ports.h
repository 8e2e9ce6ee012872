#pragma once
// What Jobs needs of the daemon around it, each a function: tests put a script in its place.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "daemon/state_writer.h"
#include "daemon/store/ledger.h"
#include "proto/events.h"

namespace pullama {

// The rest of the daemon, as the jobs see it.
struct JobsPorts {
  std::string models_dir;  // the daemon's own
  std::function<void(proto::Event)> publish;
  std::function<void(std::function<void()>)> post;  // any thread: runs it on the control thread
  std::function<void(std::chrono::milliseconds, std::function<void()>)> after;  // on the control thread, later
  std::function<void(std::function<void()>)> storage;                           // runs it on the storage thread
  std::function<void(queue::QueueData, StateWriter::Saved)> save;               // StateWriter::write
  std::function<void(const store::HistoryEntry&)> remember;                     // called on the storage thread
  std::function<void(const store::HistoryEntry&)> finished;                     // on the control thread
  std::function<std::int64_t()> now_ms;                                         // Unix time
};

}  // namespace pullama
