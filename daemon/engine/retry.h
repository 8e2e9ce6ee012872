#pragma once
// When to try again (the fault table of engine.md): one RetryPolicy a connection; the caller says what happened and
// gets what to do. A fault is free while the blob moves on; only standing still counts. URLs and tokens are a whole
// blob's, so what is refused of them is counted over all its connections.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

#include "daemon/registry/fault.h"

namespace pullama::engine {

// The URLs and tokens of one blob that were refused while it gained nothing. Thread-safe.
class Refusals {
 public:
  // How many of that kind by now. `refused` as in registry::Fault: one that several connections meet counts once.
  unsigned count(registry::Fault::Kind kind, std::uint64_t refused, std::uint64_t blob_bytes);

 private:
  struct Counter {
    unsigned count = 0;
    std::uint64_t last = 0;  // counted
    std::uint64_t blob_bytes = 0;
  };
  std::mutex mutex_;  // guards the two below
  Counter urls_, tokens_;
};

class RetryPolicy {
 public:
  static constexpr std::chrono::milliseconds kFirstBackoff{500};
  static constexpr std::chrono::milliseconds kMaxBackoff{120'000};
  static constexpr std::uint64_t kGainBytes = 64ULL << 10;
  static constexpr unsigned kMaxTokenRefreshes = 3;
  static constexpr unsigned kMaxUrlRefreshes = 5;

  struct Decision {
    bool give_up = false;
    std::chrono::milliseconds wait{0};
    unsigned attempt = 0;         // 0: free
    std::optional<unsigned> max;  // nullopt: unlimited
  };

  // `max_retries` nullopt: unlimited. `refusals`: of the blob, which other connections count in too; outlives this.
  explicit RetryPolicy(std::optional<unsigned> max_retries, Refusals* refusals = nullptr)
      : max_(max_retries), shared_(refusals) {}

  // `blob_bytes`: received of the whole blob so far; `own_bytes`: by this connection so far; `jitter` in [0, 1).
  Decision on_fault(const registry::Fault& fault, std::uint64_t blob_bytes, std::uint64_t own_bytes, double jitter);

 private:
  Decision count_transient(const registry::Fault& fault, double jitter);
  Decision count_refusal(unsigned max, const registry::Fault& fault, std::uint64_t blob_bytes, double jitter);
  std::optional<unsigned> max_;
  Refusals* shared_;
  Refusals own_;  // where none are shared
  std::uint64_t blob_bytes_at_fault_ = 0, own_bytes_at_fault_ = 0;
  bool had_fault_ = false;
  unsigned transient_ = 0;     // while the blob gains nothing
  unsigned backoff_step_ = 0;  // while this connection gains nothing
};

}  // namespace pullama::engine
