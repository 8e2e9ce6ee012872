#pragma once
// How many connections one blob is fetched over: starts at 4, doubles up to 16 while a step raises the rate by a tenth,
// goes back to the last count that helped, shrinks when the registry says 429 or 503 and when the hasher, not the line,
// is the limit (each connection more then only costs cache locality). Pure: the caller measures.

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace pullama::engine {

class ConnectionCount {
 public:
  static constexpr unsigned kStart = 4;
  static constexpr unsigned kMax = 16;
  static constexpr double kSoonSeconds = 0.25;
  static constexpr double kSureSeconds = 1;

  // `fixed` 1 to 16 for --connections N, 0 to find out.
  explicit ConnectionCount(unsigned fixed) : fixed_(fixed), target_(fixed != 0 ? fixed : kStart) {}

  unsigned target() const { return target_; }
  bool fixed() const { return fixed_ != 0; }

  // Another number from now on, or, with 0, finding out from the present one.
  void fix(unsigned fixed);

  // The rate over `seconds` of undisturbed transfer, in which every connection received. True: it was enough to decide
  // by, and the next measurement begins. A gain shows soon; that there is none is believed after a second only.
  bool on_rate(double bytes_per_second, double seconds);
  // 429 or 503. At most one step down for all faults within two seconds: they come in bursts.
  void on_throttled(std::chrono::steady_clock::time_point now);
  // A connection found no work because the window past the front is full.
  void on_window_full();

 private:
  unsigned fixed_;
  unsigned target_;
  unsigned previous_ = 0;     // count before the step that is on trial
  double previous_rate_ = 0;  // its rate
  bool settled_ = false;      // no further step up
  unsigned ceiling_ = kMax;
  std::chrono::steady_clock::time_point throttled_at_{};
};

}  // namespace pullama::engine
