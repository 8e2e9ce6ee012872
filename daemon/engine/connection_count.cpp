#include "daemon/engine/connection_count.h"

namespace pullama::engine {

void ConnectionCount::fix(unsigned fixed) {
  if (fixed == fixed_) return;
  *this = ConnectionCount(fixed != 0 ? fixed : target_);
  fixed_ = fixed;
}

bool ConnectionCount::on_rate(double bytes_per_second, double seconds) {
  if (fixed_ != 0 || settled_ || seconds < kSoonSeconds) return false;
  if (previous_ != 0 && bytes_per_second < previous_rate_ * 1.1) {
    if (seconds < kSureSeconds) return false;
    target_ = previous_;
    settled_ = true;
    return true;
  }
  if (target_ >= ceiling_) {
    settled_ = true;
    return true;
  }
  previous_ = target_;
  previous_rate_ = bytes_per_second;
  target_ = std::min(target_ * 2, ceiling_);
  return true;
}

void ConnectionCount::on_throttled(std::chrono::steady_clock::time_point now) {
  if (throttled_at_ != std::chrono::steady_clock::time_point{} && now - throttled_at_ < std::chrono::seconds(2)) return;
  throttled_at_ = now;
  target_ = std::max(1U, target_ / 2);
  ceiling_ = target_;
  settled_ = true;
}

void ConnectionCount::on_window_full() {
  if (fixed_ != 0) return;
  target_ = std::max(1U, target_ - 1);
  settled_ = true;
}

}  // namespace pullama::engine
