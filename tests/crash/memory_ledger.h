#pragma once
// A ledger that a power cut spares whole, while the files that it speaks of may lose what was not synced: the meanest
// that a database can do to us. Thread-safe.

#include <map>
#include <mutex>

#include "daemon/store/ledger.h"

namespace pullama::testing {

class MemoryLedger final : public store::Ledger {
 public:
  bool is_verified(const Digest& digest, const io::FileStat& stat) override {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(digest);
    return found != known_.end() && same(found->second, stat);
  }
  void record(const Digest& digest, const io::FileStat& stat, const std::vector<store::ChunkSum>&) override {
    const std::lock_guard lock(mutex_);
    known_[digest] = stat;
  }
  void carry_over(const Digest& digest, const io::FileStat& before, const io::FileStat& after) override {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(digest);
    if (found != known_.end() && same(found->second, before) && before.same_file(after)) found->second = after;
  }
  std::vector<store::ChunkSum> chunks(const Digest&) override { return {}; }
  void forget(const Digest& digest) override {
    const std::lock_guard lock(mutex_);
    known_.erase(digest);
  }
  void distrust(const Digest& digest) override { forget(digest); }
  void add_history(const store::HistoryEntry&) override {}
  std::vector<store::HistoryEntry> history(std::size_t, const std::string&) override { return {}; }

  void forget_all() {
    const std::lock_guard lock(mutex_);
    known_.clear();
  }
  void copy_from(const MemoryLedger& other) {
    const std::scoped_lock lock(mutex_, other.mutex_);
    known_ = other.known_;
  }

 private:
  static bool same(const io::FileStat& a, const io::FileStat& b) {
    return a.same_file(b) && a.size_bytes == b.size_bytes && a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
  }
  mutable std::mutex mutex_;  // guards known_
  std::map<Digest, io::FileStat> known_;
};

}  // namespace pullama::testing
