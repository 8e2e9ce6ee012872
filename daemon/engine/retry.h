#pragma once
// When to try again (the fault table of engine.md). Pure: one RetryPolicy a connection; the caller says what happened
// and gets what to do. A fault is free while the blob moves on; only standing still counts.

#include <chrono>
#include <cstdint>
#include <optional>

#include "daemon/registry/fault.h"

namespace pullama::engine {

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

  // `max_retries` nullopt: unlimited.
  explicit RetryPolicy(std::optional<unsigned> max_retries) : max_(max_retries) {}

  // `blob_bytes`: received of the whole blob so far; `own_bytes`: by this connection so far; `jitter` in [0, 1).
  Decision on_fault(const registry::Fault& fault, std::uint64_t blob_bytes, std::uint64_t own_bytes, double jitter);

 private:
  Decision count(unsigned& counter, std::optional<unsigned> max, bool first_at_once, const registry::Fault& fault,
                 double jitter);
  std::optional<unsigned> max_;
  std::uint64_t blob_bytes_at_fault_ = 0, own_bytes_at_fault_ = 0;
  bool had_fault_ = false;
  unsigned transient_ = 0, token_ = 0, url_ = 0;  // while the blob gains nothing
  unsigned backoff_step_ = 0;                     // while this connection gains nothing
};

}  // namespace pullama::engine
