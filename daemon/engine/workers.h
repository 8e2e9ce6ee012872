#pragma once
// Who fetches what: the connections of one transfer, their claims and rates. Pure and single-threaded: TransferState
// guards it.

#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

#include "daemon/engine/chunk_plan.h"
#include "daemon/engine/speed_meter.h"

namespace pullama::engine {

struct Worker {
  using Time = std::chrono::steady_clock::time_point;
  Claim claim;
  std::uint64_t position = 0;  // next byte to be written
  std::uint64_t bytes = 0;     // received by this connection, over all its claims
  std::optional<std::uint64_t> previous_end;
  SpeedMeter meter{std::chrono::seconds(10)};
  std::optional<double> rate;  // bytes a second, as last seen at work; nothing before it was worth measuring
  Time begun;                  // its claim
  Time fine_until;             // the last time it was not slow
  bool slow = false;

  bool busy() const { return claim.end > position; }
};

class Workers {
 public:
  using Time = Worker::Time;

  unsigned enter(Time now);
  void leave(unsigned id) { workers_.erase(id); }
  Worker& at(unsigned id) { return workers_.at(id); }
  const Worker& at(unsigned id) const { return workers_.at(id); }
  unsigned count() const { return static_cast<unsigned>(workers_.size()); }
  unsigned older_than(unsigned id) const {
    return static_cast<unsigned>(std::distance(workers_.begin(), workers_.lower_bound(id)));
  }
  // How many are at work and have had their first byte.
  unsigned receiving() const;
  // A new claim: its clock for slowness starts.
  void begin(unsigned id, const Claim& claim, Time now);
  void end(unsigned id, Time now);

  unsigned idle() const;
  // Cuts the range in flight that will take longest in two, where both halves are worth a request and it would take
  // more than a second: what is under way on the wire behind the cut is lost. With `holding`, only the range that holds
  // this offset. The second half, from which the worker is cut off already.
  std::optional<Claim> split_longest(Time now, std::optional<std::uint64_t> holding);
  // A connection is slow after ten seconds under a tenth of the others' median. Those that have run out of work count
  // with what they last did, or the last one would crawl to the end. While the rate is limited on purpose nobody is.
  void sample(Time now, bool throttled);

 private:
  // Until the worker's claim is whole; zero while too little has been seen of it.
  static double seconds_left(const Worker& worker, Time now);
  // Bytes a second; nothing where no other has shown any.
  std::optional<double> median_without(unsigned id) const;

  std::map<unsigned, Worker> workers_;
  unsigned next_id_ = 0;
};

}  // namespace pullama::engine
