#include "daemon/io/file_posix.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <limits>

#include "daemon/io/os_error.h"
#include "daemon/io/system_calls.h"

namespace pullama::io {
namespace {

constexpr std::uint64_t kLargestOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

bool fits(std::uint64_t offset, std::size_t length) {
  return offset <= kLargestOffset && length <= kLargestOffset - offset;
}

FileStat::Kind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileStat::Kind::kFile;
  if (S_ISDIR(mode)) return FileStat::Kind::kDirectory;
  if (S_ISLNK(mode)) return FileStat::Kind::kSymlink;
  return FileStat::Kind::kOther;
}

}  // namespace

FileStat to_file_stat(const struct ::stat& from) {
  FileStat to;
  to.kind = kind_of(from.st_mode);
  to.size_bytes = static_cast<std::uint64_t>(from.st_size);
  to.device = from.st_dev;
  to.inode = from.st_ino;
  to.mtime_ns = system_calls::mtime_ns(from);
  to.ctime_ns = system_calls::ctime_ns(from);
  to.links = from.st_nlink;
  to.allocated_bytes = static_cast<std::uint64_t>(from.st_blocks) * 512;
  return to;
}

Result<std::size_t> PosixFile::read_at(std::uint64_t offset, std::span<std::byte> into) {
  if (!fits(offset, into.size())) return fail(os_error("read", native_path_, EINVAL));
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = uninterrupted(
        [&] { return ::pread(fd_.get(), into.data() + done, into.size() - done, static_cast<off_t>(offset + done)); });
    if (got < 0) return fail(os_error("read", native_path_, errno));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Status PosixFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!fits(offset, bytes.size())) return fail(os_error("write", native_path_, EFBIG));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t put = uninterrupted([&] {
      return ::pwrite(fd_.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    });
    if (put < 0) return fail(os_error("write", native_path_, errno));
    if (put == 0) return fail(os_error("write", native_path_, EIO));
    done += static_cast<std::size_t>(put);
  }
  return {};
}

Status PosixFile::sync_data() {
  if (const int error = system_calls::sync_data(fd_.get()); error != 0) {
    return fail(os_error("sync", native_path_, error));
  }
  return {};
}

Status PosixFile::sync_all() {
  if (const int error = system_calls::sync_all(fd_.get()); error != 0) {
    return fail(os_error("sync", native_path_, error));
  }
  return {};
}

void PosixFile::start_write_back(std::uint64_t offset, std::uint64_t length) {
  system_calls::start_write_back(fd_.get(), offset, length);
}

Status PosixFile::preallocate(std::uint64_t size_bytes) {
  const int error = system_calls::preallocate(fd_.get(), size_bytes);
  if (error == 0) return {};
  if (error == EOPNOTSUPP || error == ENOSYS) return fail(unsupported("preallocate", native_path_, error));
  return fail(os_error("preallocate", native_path_, error));
}

Status PosixFile::truncate(std::uint64_t size_bytes) {
  if (!fits(size_bytes, 0)) return fail(os_error("truncate", native_path_, EFBIG));
  if (uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(size_bytes)); }) != 0) {
    return fail(os_error("truncate", native_path_, errno));
  }
  return {};
}

Result<FileStat> PosixFile::stat() {
  struct ::stat found {};
  if (::fstat(fd_.get(), &found) != 0) return fail(os_error("stat", native_path_, errno));
  return to_file_stat(found);
}

Result<bool> PosixFile::try_lock() {
  if (uninterrupted([&] { return ::flock(fd_.get(), LOCK_EX | LOCK_NB); }) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return fail(os_error("lock", native_path_, errno));
}

Result<bool> PosixFile::nobody_else_has_it_open() {
  bool alone = false;
  if (const int error = system_calls::open_by_us_alone(fd_.get(), alone); error != 0) {
    return fail(unsupported("take a lease on", native_path_, error));
  }
  return alone;
}

Status PosixFile::set_mode(unsigned mode) {
  return set_mode_and_owner(fd_.get(), static_cast<mode_t>(mode), owner_, native_path_);
}

}  // namespace pullama::io
