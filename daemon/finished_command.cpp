#include "daemon/finished_command.h"

#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <array>
#include <utility>

#include "common/printable.h"
#include "daemon/child_process.h"

namespace pullama {
namespace {

constexpr std::size_t kMostText = 4096;  // of a variable
constexpr std::array kServiceManagers{"NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_", "PULLAMA_MODEL=", "PULLAMA_RESULT="};

}  // namespace

std::vector<std::string> finished_environment(const store::HistoryEntry& entry,
                                              const std::vector<std::string>& inherited) {
  std::vector<std::string> environment;
  const auto add = [&](const char* name, const std::string& value) {
    environment.push_back(fmt::format("{}={}", name, printable(value, kMostText)));
  };
  add("PULLAMA_MODEL", entry.model);
  add("PULLAMA_RESULT", entry.result);
  add("PULLAMA_ERROR", entry.error);
  add("PULLAMA_JOB", entry.job);
  add("PULLAMA_KIND", entry.kind);
  add("PULLAMA_MODELS_DIR", entry.models_dir);
  add("PULLAMA_TOTAL_BYTES", std::to_string(entry.total_bytes));
  add("PULLAMA_FETCHED_BYTES", std::to_string(entry.transferred_bytes));
  add("PULLAMA_SAVED_BYTES", std::to_string(entry.saved_bytes));
  add("PULLAMA_RETRIES", std::to_string(entry.retries));
  add("PULLAMA_SECONDS", std::to_string(entry.duration_ms / 1000));
  const std::size_t ours = environment.size();
  for (const std::string& variable : inherited) {
    bool kept = true;
    for (const char* prefix : kServiceManagers) kept = kept && !variable.starts_with(prefix);
    for (std::size_t i = 0; i < ours; ++i) {
      kept = kept && !variable.starts_with(environment[i].substr(0, environment[i].find('=') + 1));
    }
    if (kept) environment.push_back(variable);
  }
  return environment;
}

FinishedCommand::FinishedCommand(std::vector<std::string> words, std::chrono::milliseconds limit) {
  configure(std::move(words), limit);
}

void FinishedCommand::configure(std::vector<std::string> words, std::chrono::milliseconds limit) {
  const std::lock_guard lock(mutex_);
  words_ = std::move(words);
  limit_ = limit;
  if (words_.empty() || stopping_ || thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { loop(stop); });
}

void FinishedCommand::request_stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  thread_.request_stop();
}

void FinishedCommand::run(store::HistoryEntry entry) {
  if (entry.result != "completed" && entry.result != "failed") return;
  {
    const std::lock_guard lock(mutex_);
    if (words_.empty()) return;
    if (pending_.size() >= kMostPending) {
      if (!std::exchange(dropping_, true)) {
        spdlog::warn("on_finished is not run for {} and what follows: {} others wait for it", entry.model,
                     pending_.size());
      }
      return;
    }
    dropping_ = false;
    pending_.push_back(std::move(entry));
  }
  changed_.notify_one();
}

void FinishedCommand::loop(const std::stop_token& stop) {
  for (;;) {
    store::HistoryEntry entry;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !pending_.empty(); })) return;
      if (stop.stop_requested()) return;
      entry = std::move(pending_.front());
      pending_.pop_front();
    }
    run_one(entry, stop);
  }
}

void FinishedCommand::run_one(const store::HistoryEntry& entry, const std::stop_token& stop) {
  std::vector<std::string> words;
  std::chrono::milliseconds limit{};
  {
    const std::lock_guard lock(mutex_);
    words = words_;
    limit = limit_;
  }
  if (words.empty()) return;  // taken away while this one waited
  const std::string what = fmt::format("on_finished for {} ({})", entry.model, words.front());
  const auto end = run_child(words, finished_environment(entry, process_variables()), limit, stop);
  if (!end) {
    spdlog::warn("{}: {}", what, end.error().message);
  } else if (end->timed_out) {
    spdlog::warn("{} was ended after {} s", what, limit.count() / 1000);
  } else if (end->exit_code != 0 || end->signal != 0) {
    const std::string how = end->signal != 0 ? fmt::format("was ended by signal {}", end->signal)
                                             : fmt::format("exited with {}", end->exit_code);
    spdlog::warn("{} {}{}{}", what, how, end->output.empty() ? "" : ": ", printable(end->output, 1024));
  } else {
    spdlog::debug("{} is done", what);
  }
}

}  // namespace pullama
