#include "daemon/engine/rate_limit.h"

#include <algorithm>
#include <atomic>

namespace pullama::engine {
namespace {

// What may pass at once after a pause: a tenth of a second's worth, so that the average over any second stays close.
double burst_bytes(std::uint64_t rate) {
  return std::max(static_cast<double>(RateLimit::kMaxTakeBytes), static_cast<double>(rate) / 10);
}

// A job that took nothing for this long has no share any more.
constexpr auto kForgetJobAfter = std::chrono::milliseconds(500);

}  // namespace

std::uint64_t next_rate_job() {
  static std::atomic<std::uint64_t> counter{1};
  return counter.fetch_add(1);
}

RateLimit::RateLimit(const io::Clock& clock, std::uint64_t bytes_per_second)
    : clock_(clock), rate_(bytes_per_second), refilled_(clock.now()) {}

void RateLimit::set_rate(std::uint64_t bytes_per_second) {
  const std::lock_guard lock(mutex_);
  refill_locked();
  rate_ = bytes_per_second;
  spare_ = std::min(spare_, burst_bytes(rate_));
  for (auto& [id, job] : jobs_) job.tokens = std::min(job.tokens, burst_bytes(rate_));
  grant_locked();
  changed_.notify_all();
}

std::uint64_t RateLimit::rate() const {
  const std::lock_guard lock(mutex_);
  return rate_;
}

void RateLimit::refill_locked() {
  const auto now = clock_.now();
  const double seconds = std::chrono::duration<double>(now - refilled_).count();
  refilled_ = now;
  std::erase_if(jobs_, [&](const auto& entry) {
    return entry.second.waiting.empty() && now - entry.second.seen > kForgetJobAfter;
  });
  const double burst = burst_bytes(rate_);
  const double income = seconds * static_cast<double>(rate_);
  if (jobs_.empty()) {
    spare_ = std::min(burst, spare_ + income);
    return;
  }
  const auto count = static_cast<double>(jobs_.size());
  for (auto& [id, job] : jobs_) {
    job.tokens += income / count;
    const double cap = std::max(burst / count, static_cast<double>(kMaxTakeBytes));
    if (job.tokens > cap) {
      spare_ += job.tokens - cap;
      job.tokens = cap;
    }
  }
  spare_ = std::min(spare_, burst);
}

io::Clock::Duration RateLimit::grant_locked() {
  using std::chrono::milliseconds;
  io::Clock::Duration wait = milliseconds(100);
  // Round after round over the jobs, beginning behind the one that had the last turn.
  for (bool granted = true; granted;) {
    granted = false;
    auto at = jobs_.upper_bound(last_job_);
    for (std::size_t i = 0; i < jobs_.size(); ++i, ++at) {
      if (at == jobs_.end()) at = jobs_.begin();
      Job& job = at->second;
      if (job.waiting.empty()) continue;
      Waiter& next = *job.waiting.front();
      const auto wanted = static_cast<double>(next.bytes);
      if (rate_ != 0 && job.tokens + spare_ < wanted) {
        const auto seconds = std::chrono::duration<double>((wanted - job.tokens - spare_) / static_cast<double>(rate_));
        wait = std::min(wait, std::chrono::ceil<io::Clock::Duration>(seconds));
        continue;
      }
      if (rate_ != 0) {
        spare_ -= std::max(0.0, wanted - job.tokens);
        job.tokens = std::max(0.0, job.tokens - wanted);
      }
      next.granted = true;
      job.waiting.pop_front();
      last_job_ = at->first;
      granted = true;
    }
  }
  return std::max<io::Clock::Duration>(wait, milliseconds(1));
}

bool RateLimit::take(std::uint64_t job, std::uint64_t bytes, std::stop_token stop) {
  while (bytes > 0) {
    const std::uint64_t turn = std::min(bytes, kMaxTakeBytes);
    if (!take_turn(job, turn, stop)) return false;
    bytes -= turn;
  }
  return true;
}

bool RateLimit::take_turn(std::uint64_t job, std::uint64_t bytes, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (rate_ == 0) return true;
  refill_locked();
  Waiter self{bytes};
  jobs_[job].waiting.push_back(&self);
  while (true) {
    jobs_[job].seen = clock_.now();
    refill_locked();
    const auto wait = grant_locked();
    if (self.granted) {
      changed_.notify_all();
      return true;
    }
    if (stop.stop_requested()) {
      jobs_[job].waiting.remove(&self);
      changed_.notify_all();
      return false;
    }
    changed_.wait_for(lock, stop, wait, [&] { return self.granted; });
  }
}

}  // namespace pullama::engine
