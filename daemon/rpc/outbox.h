#pragma once
// What waits to be written to one session: a bounded queue of lines, pure, without a socket. Lines are shared by all
// sessions that they go to. A sample (progress, trace) is worth less than a message: a newer one of the same key
// replaces it while it is unsent, and where there is no room it is dropped. A message is never dropped: push() says
// that it does not fit, and the session ends.

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pullama::rpc {

using Line = std::shared_ptr<const std::string>;  // with its '\n'

class Outbox {
 public:
  static constexpr std::size_t kMaxBytes = 1U << 20;    // of one session, the queue's own memory included
  static constexpr std::size_t kEventBytes = 1U << 19;  // of it for events; the rest is for replies
  static constexpr std::size_t kLowWater = 256U << 10;  // below: more may be asked for or replayed
  static constexpr std::size_t kEntryOverhead = 192;    // what an entry costs beside its text
  // A reply may be longer than kMaxBytes (10,000 queue entries). Such lines are counted beside it: one of any length,
  // more while they stay below kMaxLargeBytes together.
  static constexpr std::size_t kLargeLineBytes = kMaxBytes / 2;
  static constexpr std::size_t kMaxLargeBytes = 8U << 20;

  // For one more state change of so many bytes, after samples made way where they must.
  bool has_room(std::size_t line_bytes);
  // A reply or a state change. False: it does not fit, even after all samples were dropped; nothing was queued.
  [[nodiscard]] bool push(Line line);
  // The newest of `key` goes to the end of the queue, so that it never overtakes the state changes before it; an empty
  // key replaces nothing. Dropped when there is no room.
  void sample(const std::string& key, Line line);

  bool empty() const { return entries_.empty(); }
  std::size_t bytes() const { return bytes_; }  // without a large line
  bool has_large_line() const { return large_bytes_ > 0; }

  // The unsent text, oldest first, in at most `max_pieces` pieces, valid until the outbox changes.
  std::vector<std::string_view> gather(std::size_t max_pieces) const;
  // `count` bytes of what gather() gave were written. A line that was begun is no longer replaced or dropped.
  void sent(std::size_t count);
  void clear();

 private:
  struct Entry {
    Line line;
    bool is_sample = false;
    std::string key;
  };
  using Entries = std::list<Entry>;
  static std::size_t cost(const Entry& entry) { return entry.line->size() + entry.key.size() + kEntryOverhead; }
  static bool is_large(const Entry& entry) { return !entry.is_sample && entry.line->size() > kLargeLineBytes; }
  void append(Entry entry);
  void erase(Entries::iterator entry);
  void drop_samples();

  Entries entries_;
  std::unordered_map<std::string, Entries::iterator> samples_;  // unsent ones that have a key
  std::size_t bytes_ = 0;
  std::size_t large_bytes_ = 0;
  std::size_t front_sent_ = 0;  // of the first line
};

}  // namespace pullama::rpc
