#pragma once
// What we know about blobs that we verified ourselves, in SQLite (.pullm/history.db, WAL): exactly this file (device,
// inode, size, mtime, ctime in ns) had this digest, and its chunks these XXH3. A convenience: a database that is
// missing, corrupt or not writable is made anew or done without (one warning through `warn`), and no transfer fails or
// waits for it. Thread-safe; calls block on SQLite for at most its busy time-out (1 s), never on the control thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/file_system.h"
#include "daemon/io/xxh3.h"

namespace pullama::store {

struct ChunkSum {
  std::uint64_t start = 0;
  std::uint64_t end = 0;  // inclusive
  io::Xxh128 xxh3;
};

struct HistoryEntry {
  std::string job;               // its id; empty in what version 1 noted
  std::int64_t finished_ms = 0;  // Unix time
  std::string kind;              // pull, push
  std::string model;             // full display name
  std::string models_dir;
  std::string result;  // completed, failed, cancelled
  std::string error;
  std::uint64_t total_bytes = 0;
  std::uint64_t transferred_bytes = 0;
  std::uint64_t saved_bytes = 0;  // what a resume did not fetch again
  std::int64_t duration_ms = 0;
  std::uint64_t retries = 0;
  std::string error_kind;  // its kind on the wire ("not_found"); empty where none was noted
};

class Ledger {
 public:
  // Never fails: without a usable database it answers "not known" and forgets what it is told.
  static std::unique_ptr<Ledger> open(io::FileSystem& fs, std::function<void(const std::string&)> warn);
  virtual ~Ledger() = default;

  // True when exactly this file (all of device, inode, size, mtime, ctime) is known to have the digest.
  virtual bool is_verified(const Digest& digest, const io::FileStat& stat) = 0;
  virtual void record(const Digest& digest, const io::FileStat& stat, const std::vector<ChunkSum>& chunks) = 0;
  // Linking, unlinking and touching a file change its ctime: when exactly `before` is known, it is known as `after`
  // from now on (the same file, else nothing happens), chunks included. For callers that looked before and after doing
  // so.
  virtual void carry_over(const Digest& digest, const io::FileStat& before, const io::FileStat& after) = 0;
  virtual std::vector<ChunkSum> chunks(const Digest& digest) = 0;
  // The file does not have the digest: it is known no longer, but what its chunks should be still is.
  virtual void distrust(const Digest& digest) = 0;
  virtual void forget(const Digest& digest) = 0;

  virtual void add_history(const HistoryEntry& entry) = 0;
  // Newest first; `model` empty = all.
  virtual std::vector<HistoryEntry> history(std::size_t limit, const std::string& model) = 0;
};

}  // namespace pullama::store
