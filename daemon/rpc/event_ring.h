#pragma once
// The last state changes, as the lines that subscribers got, so that one that comes back, or was overrun by a burst,
// gets what it missed. Bounded in number and in bytes: a hostile registry's longest events shorten the memory, they do
// not grow it.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/rpc/outbox.h"

namespace pullama::rpc {

class EventRing {
 public:
  struct Entry {
    std::uint64_t seq = 0;
    std::string job;
    std::string_view type;  // one of proto::all_event_types()
    Line line;
  };

  EventRing(std::size_t max_events, std::size_t max_bytes, std::size_t max_burst_bytes = 0)
      : max_events_(max_events), max_bytes_(max_bytes), max_burst_bytes_(max_burst_bytes) {}

  // Seqs are consecutive. What is not older than `wanted`, which somebody still reads, may fill max_burst_bytes.
  void push(Entry entry, std::optional<std::uint64_t> wanted = {}) {
    bytes_ += entry.line->size();
    entries_.push_back(std::move(entry));
    while (entries_.size() > max_events_ || (bytes_ > max_bytes_ && entries_.size() > 1)) {
      if (wanted && entries_.front().seq >= *wanted && bytes_ <= max_burst_bytes_) return;
      bytes_ -= entries_.front().line->size();
      entries_.pop_front();
    }
  }
  // nullptr: not yet, or no longer.
  const Entry* find(std::uint64_t seq) const {
    if (entries_.empty() || seq < entries_.front().seq || seq > entries_.back().seq) return nullptr;
    return &entries_[static_cast<std::size_t>(seq - entries_.front().seq)];
  }

 private:
  std::deque<Entry> entries_;
  std::size_t bytes_ = 0;
  const std::size_t max_events_, max_bytes_, max_burst_bytes_;
};

}  // namespace pullama::rpc
