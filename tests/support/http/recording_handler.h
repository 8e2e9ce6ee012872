#pragma once
// Keeps what a request delivered, and can refuse it.

#include <atomic>
#include <functional>
#include <string>

#include "daemon/registry/http.h"

namespace pullama::testing {

class RecordingHandler : public registry::HttpHandler {
 public:
  bool on_head(const registry::HttpHead& received) override {
    head = received;
    ++heads;
    return !refuse_head;
  }
  bool on_body(std::span<const std::byte> bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (on_bytes) on_bytes();
    return body.size() <= max_body_bytes;
  }
  bool on_tick() override {
    ++ticks;
    return ticks <= max_ticks;
  }

  registry::HttpHead head;
  std::string body;
  unsigned heads = 0, ticks = 0;
  bool refuse_head = false;
  std::size_t max_body_bytes = std::size_t(-1);
  unsigned max_ticks = 1'000'000;
  std::function<void()> on_bytes;
};

}  // namespace pullama::testing
