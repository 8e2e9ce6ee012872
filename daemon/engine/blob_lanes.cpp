#include "daemon/engine/blob_lanes.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "daemon/engine/speed_meter.h"
#include "daemon/io/thread_start.h"

namespace pullama::engine {
namespace {

// Below this a blob runs in the lanes for small ones.
constexpr std::uint64_t kLargeBytes = 16ULL << 20;
constexpr unsigned kSmallLanes = 4;
constexpr auto kReportEvery = std::chrono::milliseconds(100);

struct Slot {
  explicit Slot(const BlobRef& ref) : blob(ref) {}
  const BlobRef blob;
  BlobGauge gauge;
  std::atomic<bool> begun{false}, done{false};
};

class Lanes {
 public:
  Lanes(const LanesWork& work, const std::vector<BlobRef>& blobs) : work_(work) {
    for (const BlobRef& blob : blobs) {
      slots_.push_back(std::make_unique<Slot>(blob));
      total_ += blob.size_bytes;
      (blob.size_bytes >= kLargeBytes ? large_ : small_).push_back(slots_.back().get());
    }
  }

  Result<LanesOutcome> run(std::stop_token stop) {
    const std::stop_callback forward(stop, [this] { stop_.request_stop(); });
    std::vector<std::jthread> threads;
    // Each queue needs its first lane; those beside it only make it faster.
    const auto start = [&](std::vector<Slot*>& queue, bool first) {
      const std::lock_guard lock(mutex_);
      auto thread = io::start_thread([this, &queue] { run_lane(queue); });
      if (thread) {
        ++running_;
        threads.push_back(std::move(*thread));
      } else if (first) {
        error_ = thread.error();
        stop_.request_stop();
      }
    };
    const std::size_t large_lanes = std::min<std::size_t>(work_.large_lanes, large_.size());
    for (std::size_t i = 0; i < large_lanes; ++i) start(large_, i == 0);
    const std::size_t small_lanes = std::min<std::size_t>(kSmallLanes, small_.size());
    for (std::size_t i = 0; i < small_lanes; ++i) start(small_, i == 0);
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kReportEvery, [&] { return running_ == 0; })) {
      lock.unlock();
      report();
      lock.lock();
    }
    lock.unlock();
    threads.clear();
    report();
    if (error_) return fail(*error_);
    for (const auto& slot : slots_) outcome_.fetched_bytes += slot->gauge.travelled;
    return outcome_;
  }

 private:
  Slot* next(std::vector<Slot*>& queue) {
    const std::lock_guard lock(mutex_);
    if (queue.empty() || error_ || stop_.stop_requested()) return nullptr;
    Slot* slot = queue.front();
    queue.erase(queue.begin());
    return slot;
  }

  void run_lane(std::vector<Slot*>& queue) {
    while (Slot* slot = next(queue)) {
      slot->begun = true;
      const auto result = work_.transfer(slot->blob, slot->gauge, stop_.get_token());
      if (!result) {
        const std::lock_guard lock(mutex_);
        // A stop that another lane's failure caused is not the reason.
        if (!error_ || (error_->code == ErrorCode::kCancelled && result.error().code != ErrorCode::kCancelled)) {
          error_ = result.error();
        }
        stop_.request_stop();
        break;
      }
      slot->done = true;
      work_.on_done(slot->blob);
      report_one(*slot, slot->blob.size_bytes);
      const std::lock_guard lock(mutex_);
      outcome_.saved_bytes += *result;
    }
    const std::lock_guard lock(mutex_);
    if (stop_.stop_requested() && !error_) error_ = Error{ErrorCode::kCancelled, "stopped", "", 0};
    --running_;
    changed_.notify_all();
  }

  // The largest blob that was begun and is not done stands for the job; the totals are over all.
  void report() {
    std::vector<const Slot*> begun;
    for (const auto& slot : slots_) {
      if (slot->begun && !slot->done) begun.push_back(slot.get());
    }
    const auto shown = std::max_element(begun.begin(), begun.end(), [](const Slot* a, const Slot* b) {
      return a->blob.size_bytes < b->blob.size_bytes;
    });
    if (shown == begun.end()) return;
    std::vector<std::pair<Digest, std::uint64_t>> beside;
    for (const Slot* slot : begun) {
      if (slot != *shown) beside.emplace_back(slot->blob.digest, slot->gauge.bytes_done);
    }
    report_one(**shown, (*shown)->gauge.bytes_done, std::move(beside));
  }

  void report_one(const Slot& slot, std::uint64_t bytes_done,
                  std::vector<std::pair<Digest, std::uint64_t>> beside = {}) {
    std::uint64_t done = 0, travelled = 0;
    unsigned connections = 0;
    for (const auto& each : slots_) {
      done += each->gauge.bytes_done;
      travelled += each->gauge.travelled;
      connections += each->gauge.connections;
    }
    BlobProgress progress{slot.blob,    bytes_done,  done,     total_,           0,
                          std::nullopt, connections, work_.up, std::move(beside)};
    {
      const std::lock_guard lock(meter_mutex_);
      meter_total_ = std::max(meter_total_, travelled);
      meter_.sample(work_.clock.now(), meter_total_);
      progress.bytes_per_second = meter_.bytes_per_second();
      progress.eta = meter_.eta(total_ - std::min(total_, done));
    }
    work_.sink.report(std::move(progress));
  }

  const LanesWork& work_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::uint64_t total_ = 0;
  std::stop_source stop_;
  std::mutex mutex_;  // guards the four below and the queues
  std::condition_variable changed_;
  unsigned running_ = 0;
  std::optional<Error> error_;
  LanesOutcome outcome_;
  std::vector<Slot*> large_, small_;
  std::mutex meter_mutex_;  // guards the two below
  SpeedMeter meter_;
  std::uint64_t meter_total_ = 0;
};

}  // namespace

Result<LanesOutcome> run_blob_lanes(const LanesWork& work, const std::vector<BlobRef>& blobs, std::stop_token stop) {
  if (blobs.empty()) return LanesOutcome{};
  return Lanes(work, blobs).run(std::move(stop));
}

}  // namespace pullama::engine
