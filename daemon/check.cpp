#include "daemon/check.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "common/duration_text.h"
#include "daemon/io/thread_start.h"

namespace pullama {
namespace {

// More are not begun: each holds a thread.
constexpr std::size_t kMostLeftBehind = 16;
// Time to end after being asked to; at a stop less.
constexpr std::chrono::milliseconds kGrace{500}, kGraceAtStop{100};

std::atomic<std::size_t> left_behind{0};

struct Shared {
  std::mutex mutex;  // guards all but `stop`
  std::condition_variable_any changed;
  bool done = false;
  bool is_left = false;
  std::vector<Finding> findings;
  std::stop_source stop;
};

void run(const std::shared_ptr<Shared>& shared, const std::string& name,
         const std::function<std::vector<Finding>(const std::stop_token&)>& look) {
  std::vector<Finding> found;
  try {
    found = look(shared->stop.get_token());
  } catch (const std::exception& e) {
    found = {{name, kFailed, std::string("this check ended unexpectedly: ") + e.what(), "try again"}};
  }
  const std::lock_guard lock(shared->mutex);
  shared->findings = std::move(found);
  shared->done = true;
  if (shared->is_left) --left_behind;
  shared->changed.notify_all();
}

}  // namespace

std::vector<Finding> look_within_limit(const Check& check, const std::stop_token& stop) {
  if (left_behind >= kMostLeftBehind) {
    return {{check.name, kFailed, "not looked at: too many checks before this one still hang",
             "see what hangs (a network disk, the resolver), then restart the daemon"}};
  }
  const auto shared = std::make_shared<Shared>();
  auto thread = io::start_thread([shared, name = check.name, look = check.look] { run(shared, name, look); });
  if (!thread) return {{check.name, kFailed, thread.error().message, thread.error().hint}};
  std::unique_lock lock(shared->mutex);
  const auto done = [&] { return shared->done; };
  const bool in_time = shared->changed.wait_for(lock, stop, check.limit, done);
  if (!in_time) {
    lock.unlock();
    shared->stop.request_stop();
    lock.lock();
    shared->changed.wait_for(lock, stop.stop_requested() ? kGraceAtStop : kGrace, done);
  }
  if (shared->done) {
    lock.unlock();
    thread->join();
  } else {
    shared->is_left = true;
    ++left_behind;
    thread->detach();
  }
  if (in_time) return std::move(shared->findings);
  if (stop.stop_requested()) return {};
  return {{check.name, kFailed, "no end after " + format_duration(check.limit),
           check.name == "dns" ? "the resolver does not answer: see /etc/resolv.conf" : "something hangs there"}};
}

bool look_at(const std::vector<Check>& checks, const std::function<void(const Finding&)>& tell,
             const std::stop_token& stop) {
  for (const Check& check : checks) {
    if (stop.stop_requested()) return false;
    std::vector<std::string> names{check.name};
    names.insert(names.end(), check.also.begin(), check.also.end());
    const bool is_blocked = check.road && *check.road;
    for (const Finding& finding : is_blocked ? std::vector<Finding>() : look_within_limit(check, stop)) {
      if (check.road && finding.status == kFailed) *check.road = true;
      tell(finding);
      std::erase(names, finding.check);
    }
    if (stop.stop_requested()) return false;
    for (const std::string& name : names) tell({name, kSkipped, "not looked at, for what it needs failed", ""});
  }
  return !stop.stop_requested();
}

std::size_t checks_left_behind() { return left_behind; }

}  // namespace pullama
