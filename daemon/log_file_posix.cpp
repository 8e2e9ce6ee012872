#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "daemon/io/descriptor_posix.h"
#include "daemon/log_file.h"

namespace pullama {
namespace {

bool is_at(int fd, const std::string& path) {
  struct stat ours {
  }, there{};
  return ::fstat(fd, &ours) == 0 && S_ISREG(ours.st_mode) && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

}  // namespace

LogFile::LogFile(int fd, std::string path, std::uint64_t most_bytes)
    : fd_(fd), path_(std::move(path)), most_bytes_(most_bytes), rotates_(!path_.empty() && is_at(fd, path_)) {}

void LogFile::write(std::string_view text) {
  struct stat info {};
  if (rotates_ && ::fstat(fd_, &info) == 0 && static_cast<std::uint64_t>(info.st_size) + text.size() > most_bytes_) {
    rotate();
  }
  while (!text.empty()) {
    const ssize_t written = io::uninterrupted([&] { return ::write(fd_, text.data(), text.size()); });
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

void LogFile::rotate() {
  // Another daemon of ours, with another socket, may have been faster: then its new file is ours too.
  if (is_at(fd_, path_) && std::rename(path_.c_str(), (path_ + ".1").c_str()) != 0) {
    if (::ftruncate(fd_, 0) != 0) rotates_ = false;  // better no past than no bound
    return;
  }
  const io::Descriptor fresh(
      ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fresh.valid() || !is_at(fresh.get(), path_) || ::dup2(fresh.get(), fd_) < 0) rotates_ = false;
}

}  // namespace pullama
