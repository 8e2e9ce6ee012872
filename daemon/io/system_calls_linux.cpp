#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <ctime>
#include <limits>

#include "daemon/io/system_calls.h"

namespace pullama::io::system_calls {
namespace {

int status(int result) { return result < 0 ? errno : 0; }

std::int64_t nanoseconds(const timespec& time) { return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

int preallocate(int fd, std::uint64_t size_bytes) {
  if (size_bytes == 0) return 0;
  if (size_bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) return EFBIG;
  return status(uninterrupted([&] { return ::fallocate(fd, 0, 0, static_cast<off_t>(size_bytes)); }));
}

int sync_data(int fd) {
  return status(uninterrupted([&] { return ::fdatasync(fd); }));
}

int sync_all(int fd) {
  return status(uninterrupted([&] { return ::fsync(fd); }));
}

void start_write_back(int fd, std::uint64_t offset, std::uint64_t length) {
  static_cast<void>(
      ::sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(length), SYNC_FILE_RANGE_WRITE));
}

int open_by_us_alone(int fd, bool& alone) {
  // Whoever opens the file while we hold the lease makes the kernel send us a signal, SIGIO by default, which kills.
  // SIGURG is ignored by default.
  if (::fcntl(fd, F_SETSIG, SIGURG) < 0) return errno;
  if (::fcntl(fd, F_SETLEASE, F_WRLCK) < 0) {
    if (errno != EAGAIN) return errno;
    alone = false;
    return 0;
  }
  alone = true;
  return status(::fcntl(fd, F_SETLEASE, F_UNLCK));
}

int share_blocks(int from, int to) { return status(::ioctl(to, FICLONE, from)); }

Descriptor open_folder_beneath(int folder, const std::string& path) {
  // Linux 5.6; some sandboxes refuse it.
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return Descriptor(
      static_cast<int>(uninterrupted([&] { return ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how); })));
}

Descriptor open_entry(int folder, const std::string& name) {
  return Descriptor(uninterrupted([&] { return ::openat(folder, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC); }));
}

int read_link(int link, std::string& text) {
  text.resize(PATH_MAX);
  const ssize_t length = ::readlinkat(link, "", text.data(), text.size());
  if (length < 0) return errno;
  if (static_cast<std::size_t>(length) == text.size()) return ENAMETOOLONG;
  text.resize(static_cast<std::size_t>(length));
  return 0;
}

std::chrono::nanoseconds since_boot() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::nanoseconds(nanoseconds(time));
}

std::int64_t mtime_ns(const struct ::stat& from) { return nanoseconds(from.st_mtim); }
std::int64_t ctime_ns(const struct ::stat& from) { return nanoseconds(from.st_ctim); }

}  // namespace pullama::io::system_calls
