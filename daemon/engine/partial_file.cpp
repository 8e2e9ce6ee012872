#include "daemon/engine/partial_file.h"

#include <fmt/format.h>

#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {

Result<PartialFile> PartialFile::open(io::FileSystem& fs, const Digest& digest) {
  const std::string path = store::partial_path(digest);
  bool existed = true;
  auto file = fs.open(path, io::OpenMode::kReadWrite);
  if (!file && io::is_missing(file.error())) {
    existed = false;
    file = fs.open(path, io::OpenMode::kReadWriteCreate, 0644);
  }
  if (!file) return fail(file.error());
  auto locked = (*file)->try_lock();
  if (!locked) return fail(locked.error());
  if (!*locked) {
    return fail(ErrorCode::kLocked, fmt::format("{} is in use by another process", fs.native_path(path)));
  }
  auto stat = (*file)->stat();
  if (!stat) return fail(stat.error());
  if (stat->kind != io::FileStat::Kind::kFile) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is no regular file", fs.native_path(path)), "move it away");
  }
  return PartialFile(fs, path, std::move(*file), *stat, existed);
}

bool PartialFile::held_by_another(io::FileSystem& fs, const Digest& digest) {
  const auto file = fs.open(store::partial_path(digest), io::OpenMode::kRead);
  if (!file) return false;
  const auto locked = (*file)->try_lock();
  return locked && !*locked;
}

Status PartialFile::reserve(std::uint64_t size_bytes) {
  auto stat = file_->stat();
  if (!stat) return fail(stat.error());
  if (stat->size_bytes > size_bytes) {
    if (auto cut = file_->truncate(size_bytes); !cut) return cut;
  }
  if (stat->size_bytes == size_bytes && stat->allocated_bytes >= size_bytes) return {};
  auto reserved = file_->preallocate(size_bytes);
  if (reserved || reserved.error().code != ErrorCode::kUnsupported) return reserved;
  return stat->size_bytes < size_bytes ? file_->truncate(size_bytes) : Status{};
}

Result<bool> PartialFile::still_at_its_path() const {
  auto there = fs_->stat(path_);
  if (!there) {
    if (io::is_missing(there.error())) return false;
    return fail(there.error());
  }
  return there->same_file(stat_);
}

}  // namespace pullama::engine
