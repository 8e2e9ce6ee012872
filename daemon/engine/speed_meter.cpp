#include "daemon/engine/speed_meter.h"

#include <cmath>

namespace pullama::engine {

namespace {
// The first bytes of a connection say nothing of its rate: hours would be shown where seconds are left.
constexpr std::chrono::milliseconds kLeastForEta{700};
}  // namespace

void SpeedMeter::sample(Time now, std::uint64_t total_bytes) {
  // Ten samples a second would be more than the figure can show; one in a tenth of the window is kept.
  if (samples_.size() >= 2 && now - samples_[samples_.size() - 2].at < window_ / 50) {
    samples_.back() = {now, total_bytes};
  } else {
    samples_.push_back({now, total_bytes});
  }
  while (samples_.size() > 2 && now - samples_[1].at >= window_) samples_.pop_front();
}

double SpeedMeter::bytes_per_second() const {
  if (samples_.size() < 2) return 0;
  const double seconds = std::chrono::duration<double>(samples_.back().at - samples_.front().at).count();
  if (seconds <= 0) return 0;
  return static_cast<double>(samples_.back().bytes - samples_.front().bytes) / seconds;
}

std::optional<std::chrono::seconds> SpeedMeter::eta(std::uint64_t remaining_bytes) const {
  const double rate = bytes_per_second();
  if (rate < 1 || samples_.back().at - samples_.front().at < kLeastForEta) return std::nullopt;
  const double seconds = std::ceil(static_cast<double>(remaining_bytes) / rate);
  if (seconds > 100.0 * 365 * 86400) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(seconds));
}

}  // namespace pullama::engine
