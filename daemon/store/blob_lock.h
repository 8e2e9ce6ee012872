#pragma once
// The lock of a blob's download: a flock on blobs/sha256-<hex>.lock. The kernel frees it when the process ends. It
// counts only while the locked file is still the one at its path: an Ollama server's start may remove it under us, and
// then somebody else can lock a new one. So look at still_ours() at each checkpoint and before the rename.
//
// Not thread-safe; owned by whoever downloads the blob. blobs/ must exist.

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/clock.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

class BlobLock {
 public:
  // nullopt where somebody else has it.
  static Result<std::optional<BlobLock>> try_acquire(io::FileSystem& fs, const Digest& digest);
  // Waits for it, polling every 50 ms, and calls `waiting` once when it has to; kCancelled on stop.
  static Result<BlobLock> acquire(io::FileSystem& fs, const io::Clock& clock, const Digest& digest,
                                  const std::stop_token& stop, const std::function<void()>& waiting);
  // Removes the file that a killed process left. One that somebody holds stays; what goes wrong harms nobody.
  static void remove_left(io::FileSystem& fs, const Digest& digest);

  BlobLock(BlobLock&&) noexcept = default;
  BlobLock& operator=(BlobLock&&) = delete;
  // Releases; what goes wrong then harms nobody, since the lock itself ends with the file's descriptor.
  ~BlobLock();

  Result<bool> still_ours() const;
  // Removes the lock's file, while we hold it and only if it is still ours, and lets go.
  Status release();

 private:
  BlobLock(io::FileSystem& fs, std::string path, std::unique_ptr<io::File> file)
      : fs_(&fs), path_(std::move(path)), file_(std::move(file)) {}

  io::FileSystem* fs_;
  std::string path_;
  std::unique_ptr<io::File> file_;
};

}  // namespace pullama::store
