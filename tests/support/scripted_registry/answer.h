#pragma once
// An answer as it would be, and sending it as the fault wants it.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/scripted_registry/content.h"
#include "tests/support/scripted_registry/script.h"
#include "tests/support/scripted_registry/wire.h"

namespace pullama::scripted {

struct Answer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // without Content-Length, which follows from the body
  std::shared_ptr<const Content> body;                       // none: an empty one
  std::uint64_t offset = 0, length = 0;                      // of the body that is sent
  bool head_only = false;                                    // the answer to HEAD

  static Answer of_text(int status, std::string text, std::string type = "application/json");
  void set_header(const std::string& name, std::string value);
  void drop_header(const std::string& name);
};

// Lets so many bytes a second through, over all who share it. 0: none. Thread-safe.
class Throttle {
 public:
  // Waits until `bytes` may pass; false when the program stops.
  bool pass(std::uint64_t bytes, std::uint64_t rate, Lifetime& lifetime);

 private:
  std::mutex mutex_;  // guards next_
  std::chrono::steady_clock::time_point next_{};
};

struct Sent {
  std::uint64_t body_bytes = 0;  // handed to the kernel
  std::string end = "whole";     // whole, reset, closed, stalled, gone (the peer left)
};

struct Speed {
  std::uint64_t connection_rate = 0, total_rate = 0;
};

// What the fault changes of the answer before it is sent.
void distort(Answer& answer, const Fault& fault);
// Writes the answer to the connection; the fault's part that concerns the wire is done here.
Sent send(const Answer& answer, const Fault* fault, Wire& wire, Speed speed, Throttle& total, Lifetime& lifetime);

}  // namespace pullama::scripted
