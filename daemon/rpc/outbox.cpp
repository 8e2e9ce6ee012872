#include "daemon/rpc/outbox.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pullama::rpc {

bool Outbox::has_room(std::size_t line_bytes) {
  const std::size_t wanted = line_bytes + kEntryOverhead;
  if (bytes_ + wanted > kEventBytes) drop_samples();
  return bytes_ + wanted <= kEventBytes || entries_.empty();
}

bool Outbox::push(Line line) {
  Entry entry{std::move(line), false, {}};
  if (is_large(entry)) {
    const std::size_t size = entry.line->size();
    if (large_bytes_ > 0 && large_bytes_ + size > kMaxLargeBytes) return false;
    large_bytes_ += size;
    entries_.push_back(std::move(entry));
    return true;
  }
  if (bytes_ + cost(entry) > kMaxBytes) drop_samples();
  if (bytes_ + cost(entry) > kMaxBytes) return false;
  append(std::move(entry));
  return true;
}

void Outbox::sample(const std::string& key, Line line) {
  if (!key.empty()) {
    if (const auto found = samples_.find(key); found != samples_.end()) erase(found->second);
  }
  Entry entry{std::move(line), true, key};
  if (bytes_ + cost(entry) > kMaxBytes) return;
  append(std::move(entry));
  if (!key.empty()) samples_[key] = std::prev(entries_.end());
}

std::vector<std::string_view> Outbox::gather(std::size_t max_pieces) const {
  std::vector<std::string_view> pieces;
  pieces.reserve(std::min(max_pieces, entries_.size()));
  std::size_t skip = front_sent_;
  for (const Entry& entry : entries_) {
    if (pieces.size() == max_pieces) break;
    pieces.push_back(std::string_view(*entry.line).substr(skip));
    skip = 0;
  }
  return pieces;
}

void Outbox::sent(std::size_t count) {
  while (count > 0 && !entries_.empty()) {
    const auto front = entries_.begin();
    const std::size_t left = front->line->size() - front_sent_;
    if (count < left) {
      front_sent_ += count;
      if (!front->key.empty()) {  // begun: a newer one must not cut it in two
        const auto found = samples_.find(front->key);
        if (found != samples_.end() && found->second == front) samples_.erase(found);
      }
      return;
    }
    count -= left;
    erase(front);
  }
}

void Outbox::clear() {
  entries_.clear();
  samples_.clear();
  bytes_ = large_bytes_ = front_sent_ = 0;
}

void Outbox::append(Entry entry) {
  bytes_ += cost(entry);
  entries_.push_back(std::move(entry));
}

void Outbox::erase(Entries::iterator entry) {
  if (is_large(*entry)) {
    large_bytes_ -= entry->line->size();
  } else {
    bytes_ -= cost(*entry);
  }
  if (!entry->key.empty()) {
    const auto found = samples_.find(entry->key);
    if (found != samples_.end() && found->second == entry) samples_.erase(found);
  }
  if (entry == entries_.begin()) front_sent_ = 0;
  entries_.erase(entry);
}

void Outbox::drop_samples() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    const bool begun = entry == entries_.begin() && front_sent_ > 0;
    if (entry->is_sample && !begun) erase(entry);
    entry = next;
  }
}

}  // namespace pullama::rpc
