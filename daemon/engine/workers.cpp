#include "daemon/engine/workers.h"

#include <algorithm>
#include <vector>

namespace pullama::engine {
namespace {

// A range in flight is worth cutting in two while both halves are at least this long.
constexpr std::uint64_t kMinSplitBytes = 1ULL << 20;
constexpr double kWorthSplittingSeconds = 1;
// A round trip and the first bytes of a connection say little about its rate.
constexpr double kSeenAfterSeconds = 0.5;
constexpr auto kSlowAfter = std::chrono::seconds(10);
// A claim that has just begun says nothing about its connection yet.
constexpr auto kMeasuredAfter = std::chrono::seconds(2);

}  // namespace

unsigned Workers::enter(Time now) {
  const unsigned id = next_id_++;
  workers_[id].fine_until = now;
  return id;
}

unsigned Workers::receiving() const {
  return static_cast<unsigned>(std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.busy() && entry.second.bytes > 0;
  }));
}

void Workers::begin(unsigned id, const Claim& claim, Time now) {
  Worker& worker = workers_.at(id);
  worker.claim = claim;
  worker.position = claim.begin;
  worker.previous_end = claim.end;
  worker.meter = SpeedMeter(kSlowAfter);
  worker.begun = worker.fine_until = now;
  worker.slow = false;
}

void Workers::end(unsigned id, Time now) {
  Worker& worker = workers_.at(id);
  const auto took = now - worker.begun;
  if (took < kMeasuredAfter && took > Time::duration::zero() && worker.position > worker.claim.begin) {
    worker.rate =
        static_cast<double>(worker.position - worker.claim.begin) / std::chrono::duration<double>(took).count();
  }
  worker.claim = {};
  worker.position = 0;
}

unsigned Workers::idle() const {
  return static_cast<unsigned>(
      std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) { return !entry.second.busy(); }));
}

double Workers::seconds_left(const Worker& worker, Time now) {
  if (!worker.busy()) return 0;
  const double took = std::chrono::duration<double>(now - worker.begun).count();
  if (took < kSeenAfterSeconds) return 0;
  const double rate = static_cast<double>(worker.position - worker.claim.begin) / took;
  return static_cast<double>(worker.claim.end - worker.position) / std::max(rate, 1.0);
}

std::optional<Claim> Workers::split_longest(Time now, std::optional<std::uint64_t> holding) {
  Worker* longest = nullptr;
  double most = kWorthSplittingSeconds;
  for (auto& [id, worker] : workers_) {
    if (holding && (*holding < worker.claim.begin || *holding >= worker.claim.end)) continue;
    if (worker.busy() && worker.claim.end - worker.position < 2 * kMinSplitBytes) continue;
    if (const double left = seconds_left(worker, now); left > most) {
      most = left;
      longest = &worker;
    }
  }
  if (longest == nullptr) return std::nullopt;
  const std::uint64_t left = longest->claim.end - longest->position;
  const std::uint64_t at = (longest->position + left / 2) & ~std::uint64_t{0xffff};
  // What the worker has gathered and not yet written lies before `at` in any case.
  if (at < longest->position + kMinSplitBytes || at >= longest->claim.end) return std::nullopt;
  const Claim taken{at, longest->claim.end};
  longest->claim.end = at;
  return taken;
}

std::optional<double> Workers::median_without(unsigned id) const {
  std::vector<double> rates;
  for (const auto& [other, worker] : workers_) {
    if (other != id && worker.rate) rates.push_back(*worker.rate);
  }
  if (rates.empty()) return std::nullopt;
  const auto middle = rates.begin() + static_cast<std::ptrdiff_t>((rates.size() - 1) / 2);
  std::nth_element(rates.begin(), middle, rates.end());
  return *middle;
}

void Workers::sample(Time now, bool throttled) {
  for (auto& [id, worker] : workers_) {
    worker.meter.sample(now, worker.bytes);
    if (worker.busy() && now - worker.begun >= kMeasuredAfter) worker.rate = worker.meter.bytes_per_second();
  }
  for (auto& [id, worker] : workers_) {
    const auto median = median_without(id);
    const bool measured = now - worker.begun >= kMeasuredAfter;
    const bool fine = !worker.busy() || (measured && (!median || *worker.rate * 10 >= *median));
    if (throttled || fine) worker.fine_until = now;
    worker.slow = now - worker.fine_until >= kSlowAfter;
  }
}

}  // namespace pullama::engine
