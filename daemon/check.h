#pragma once
// One thing that `pullama doctor` looks at, within a limit of its own. What hangs all the same (a disk that does not
// answer, a resolver) is left behind on its thread: neither the job nor the daemon waits for it.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "proto/events.h"

namespace pullama {

using Finding = proto::event::DoctorCheck;

inline constexpr const char* kOk = "ok";
inline constexpr const char* kWarning = "warning";
inline constexpr const char* kFailed = "failed";
inline constexpr const char* kSkipped = "skipped";

struct Check {
  std::string name;
  std::chrono::milliseconds limit;
  // May be left behind: holds by value what it uses, or what lives as long as the process does.
  std::function<std::vector<Finding>(const std::stop_token&)> look;
  // Shared by checks that build on each other: once one of them failed, those after it are skipped. May be empty.
  std::shared_ptr<bool> road{};
  // Further names that its findings may have: those that none has are told as skipped.
  std::vector<std::string> also{};
};

// What was found; at a stop nothing, at once. Beyond the limit, a finding that says so.
std::vector<Finding> look_within_limit(const Check& check, const std::stop_token& stop);

// One after the other; each finding is told as soon as it is there. False where a stop came first.
bool look_at(const std::vector<Check>& checks, const std::function<void(const Finding&)>& tell,
             const std::stop_token& stop);

// How many still hang. A process that ends must not wait for them, nor tidy up under them.
std::size_t checks_left_behind();

}  // namespace pullama
