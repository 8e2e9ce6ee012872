#include "daemon/engine/workers.h"

#include <algorithm>
#include <vector>

namespace pullama::engine {
namespace {

// A range in flight is worth cutting in two while both halves are at least this long.
constexpr std::uint64_t kMinSplitBytes = 1ULL << 20;
constexpr auto kSlowAfter = std::chrono::seconds(10);

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
  worker.fine_until = now;
  worker.slow = false;
}

void Workers::end(unsigned id) {
  Worker& worker = workers_.at(id);
  worker.claim = {};
  worker.position = 0;
}

std::optional<Claim> Workers::split_largest() {
  Worker* largest = nullptr;
  std::uint64_t most = 0;
  for (auto& [id, worker] : workers_) {
    const std::uint64_t left = worker.busy() ? worker.claim.end - worker.position : 0;
    if (left > most) {
      most = left;
      largest = &worker;
    }
  }
  if (most < 2 * kMinSplitBytes) return std::nullopt;
  const std::uint64_t at = (largest->position + most / 2) & ~std::uint64_t{0xffff};
  // What the worker has gathered and not yet written lies before `at` in any case.
  if (at < largest->position + kMinSplitBytes || at >= largest->claim.end) return std::nullopt;
  const Claim taken{at, largest->claim.end};
  largest->claim.end = at;
  return taken;
}

void Workers::sample(Time now, bool throttled) {
  std::vector<double> rates;
  for (auto& [id, worker] : workers_) {
    worker.meter.sample(now, worker.bytes);
    if (worker.busy()) rates.push_back(worker.meter.bytes_per_second());
  }
  if (throttled || rates.size() < 3) {
    for (auto& [id, worker] : workers_) worker.fine_until = now;
    return;
  }
  std::sort(rates.begin(), rates.end());
  const double median = rates[rates.size() / 2];
  for (auto& [id, worker] : workers_) {
    if (!worker.busy() || worker.meter.bytes_per_second() * 10 >= median) worker.fine_until = now;
    worker.slow = now - worker.fine_until >= kSlowAfter;
  }
}

}  // namespace pullama::engine
