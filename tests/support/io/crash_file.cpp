#include "tests/support/io/crash_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace pullama::testing {

CrashFile::CrashFile(std::shared_ptr<CrashMachine> machine, InodeNumber inode, std::string path, bool writable)
    : machine_(std::move(machine)), inode_(inode), path_(std::move(path)), writable_(writable) {
  ++machine_->open_files[inode_];
}

CrashFile::~CrashFile() {
  const std::lock_guard lock(machine_->mutex);
  --machine_->open_files[inode_];
  if (const auto held = machine_->locks.find(inode_); held != machine_->locks.end() && held->second == this) {
    machine_->locks.erase(held);
  }
}

Result<std::size_t> CrashFile::read_at(std::uint64_t offset, std::span<std::byte> into) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("read", EIO);
  const std::string& bytes = machine_->disk.at(inode_).bytes;
  if (offset >= bytes.size()) return std::size_t{0};
  const std::size_t length = std::min<std::uint64_t>(into.size(), bytes.size() - offset);
  const auto from = std::as_bytes(std::span(bytes)).subspan(offset, length);
  std::copy(from.begin(), from.end(), into.begin());
  return length;
}

Status CrashFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::lock_guard lock(machine_->mutex);
  if (!writable_) return os_fail("write", EBADF);
  if (offset > CrashMachine::kLargestFile || bytes.size() > CrashMachine::kLargestFile - offset)
    return os_fail("write", EFBIG);
  std::string text(bytes.size(), '\0');
  std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(text)).begin());
  const auto half = [&] { machine_->disk.write(inode_, offset, text.substr(0, text.size() / 2)); };
  if (!machine_->mutating(half)) return os_fail("write", EIO);
  machine_->disk.write(inode_, offset, text);
  return {};
}

Status CrashFile::sync_data() {
  const std::lock_guard lock(machine_->mutex);
  if (!machine_->mutating([&] { machine_->disk.sync_half_of_bytes(inode_); })) return os_fail("sync", EIO);
  machine_->disk.sync_bytes(inode_);
  return {};
}

Status CrashFile::sync_all() {
  const std::lock_guard lock(machine_->mutex);
  if (!machine_->mutating([&] { machine_->disk.sync_half_of_bytes(inode_); })) return os_fail("sync", EIO);
  machine_->disk.sync_all(inode_);
  return {};
}

Status CrashFile::preallocate(std::uint64_t size_bytes) {
  const std::lock_guard lock(machine_->mutex);
  if (!writable_) return os_fail("preallocate", EBADF);
  if (size_bytes > CrashMachine::kLargestFile) return os_fail("preallocate", EFBIG);
  if (!machine_->mutating()) return os_fail("preallocate", EIO);
  if (size_bytes > machine_->disk.at(inode_).bytes.size()) machine_->disk.resize(inode_, size_bytes);
  return {};
}

Status CrashFile::truncate(std::uint64_t size_bytes) {
  const std::lock_guard lock(machine_->mutex);
  if (!writable_) return os_fail("truncate", EINVAL);
  if (size_bytes > CrashMachine::kLargestFile) return os_fail("truncate", EFBIG);
  if (!machine_->mutating()) return os_fail("truncate", EIO);
  machine_->disk.resize(inode_, size_bytes);
  return {};
}

Result<io::FileStat> CrashFile::stat() {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("stat", EIO);
  return machine_->stat_of(inode_);
}

Result<bool> CrashFile::try_lock() {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("lock", EIO);
  return machine_->locks.try_emplace(inode_, this).first->second == this;
}

Result<bool> CrashFile::nobody_else_has_it_open() {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("take a lease on", EIO);
  return machine_->open_files.at(inode_) == 1;
}

Status CrashFile::set_mode(unsigned mode) {
  const std::lock_guard lock(machine_->mutex);
  if (!machine_->mutating()) return os_fail("chmod", EIO);
  machine_->disk.set_mode(inode_, mode);
  return {};
}

}  // namespace pullama::testing
