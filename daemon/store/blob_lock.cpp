#include "daemon/store/blob_lock.h"

#include <cerrno>

#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

constexpr std::chrono::milliseconds kPoll{50};

Result<std::unique_ptr<io::File>> open_lock_file(io::FileSystem& fs, const std::string& path) {
  auto file = fs.open(path, io::OpenMode::kReadWriteCreate, 0644);
  // Another user's lock file in a shared store: reading is enough for flock.
  if (!file && file.error().os_error == EACCES) return fs.open(path, io::OpenMode::kRead);
  return file;
}

Result<bool> is_at_its_path(io::FileSystem& fs, const std::string& path, io::File& file) {
  auto ours = file.stat();
  if (!ours) return fail(ours.error());
  auto there = fs.stat(path);
  if (!there && io::is_missing(there.error())) return false;
  if (!there) return fail(there.error());
  return there->same_file(*ours);
}

}  // namespace

Result<std::optional<BlobLock>> BlobLock::try_acquire(io::FileSystem& fs, const Digest& digest) {
  const std::string path = blob_lock_path(digest);
  while (true) {
    auto file = open_lock_file(fs, path);
    if (!file) return fail(file.error());
    auto locked = (*file)->try_lock();
    if (!locked) return fail(locked.error());
    if (!*locked) return std::optional<BlobLock>();
    // Whoever had it may have removed the file between our open and our lock: then we hold a lock on nothing. Each
    // round needs another process that released one, so this ends.
    auto counts = is_at_its_path(fs, path, **file);
    if (!counts) return fail(counts.error());
    if (*counts) return std::optional<BlobLock>(BlobLock(fs, path, std::move(*file)));
  }
}

Result<BlobLock> BlobLock::acquire(io::FileSystem& fs, const io::Clock& clock, const Digest& digest,
                                   const std::stop_token& stop, const std::function<void()>& waiting) {
  for (bool told = false;; told = true) {
    if (stop.stop_requested()) break;
    auto lock = try_acquire(fs, digest);
    if (!lock) return fail(lock.error());
    if (*lock) return std::move(**lock);
    if (!told && waiting) waiting();
    if (!clock.sleep_for(kPoll, stop)) break;
  }
  return fail(ErrorCode::kCancelled, "stopped while waiting for " + fs.native_path(blob_lock_path(digest)));
}

void BlobLock::remove_left(io::FileSystem& fs, const Digest& digest) {
  if (!fs.stat(blob_lock_path(digest))) return;
  if (auto lock = try_acquire(fs, digest); lock && *lock) static_cast<void>((*lock)->release());
}

BlobLock::~BlobLock() {
  if (file_) static_cast<void>(release());
}

Result<bool> BlobLock::still_ours() const {
  if (!file_) return false;
  return is_at_its_path(*fs_, path_, *file_);
}

Status BlobLock::release() {
  if (!file_) return {};
  Status removed;
  auto ours = still_ours();
  if (!ours) {
    removed = fail(ours.error());
  } else if (*ours) {
    removed = fs_->remove(path_);
    if (!removed && io::is_missing(removed.error())) removed = {};
  }
  file_.reset();  // only now: whoever gets the lock next finds it removed, and tries again
  return removed;
}

}  // namespace pullama::store
