#pragma once
// The user's command after a transfer that completed or failed. What it is about is in its environment, never in a
// shell's hands: PULLAMA_MODEL, PULLAMA_RESULT (completed, failed), PULLAMA_ERROR (empty when completed), PULLAMA_JOB,
// PULLAMA_KIND (pull, push), PULLAMA_MODELS_DIR, PULLAMA_TOTAL_BYTES, PULLAMA_FETCHED_BYTES, PULLAMA_SAVED_BYTES,
// PULLAMA_RETRIES, PULLAMA_SECONDS. Text that came from a registry is printable, without control characters.
//
// One command at a time, on a thread of its own, so nothing waits for it. It gets /dev/null to read from and none of
// our descriptors; what it says goes to the log when it fails. It has a session of its own; at the limit, and when the
// daemon stops, that gets SIGTERM and soon after SIGKILL.

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/store/ledger.h"

namespace pullama {

class FinishedCommand {
 public:
  // Ends that wait for their turn; further ones are dropped with a warning.
  static constexpr std::size_t kMostPending = 1000;

  // `words` empty: run() does nothing.
  FinishedCommand(std::vector<std::string> words, std::chrono::milliseconds limit);
  ~FinishedCommand() = default;  // request_stop(), joins
  FinishedCommand(const FinishedCommand&) = delete;
  FinishedCommand& operator=(const FinishedCommand&) = delete;

  // From the next command on. Any thread; does not wait.
  void configure(std::vector<std::string> words, std::chrono::milliseconds limit);

  // Any thread; does not wait. Does nothing for other results than completed and failed.
  void run(store::HistoryEntry entry);
  // Ends the one that runs within half a second, drops the rest. Does not wait.
  void request_stop();

 private:
  void loop(const std::stop_token& stop);
  void run_one(const store::HistoryEntry& entry, const std::stop_token& stop);

  std::mutex mutex_;  // guards all but changed_; the thread is started at most once
  std::vector<std::string> words_;
  std::chrono::milliseconds limit_{0};
  bool stopping_ = false;
  std::deque<store::HistoryEntry> pending_;
  bool dropping_ = false;  // told so once, until there is room again
  std::condition_variable_any changed_;
  std::jthread thread_;
};

// "NAME=value" for each, over `inherited` (as environ has it), without what the service manager meant for us alone.
std::vector<std::string> finished_environment(const store::HistoryEntry& entry,
                                              const std::vector<std::string>& inherited);

}  // namespace pullama
