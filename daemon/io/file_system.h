#pragma once
// The models dir as the daemon sees it: every path is relative to it ("blobs/sha256-…", ".pullm/queue.json"), opened
// beneath a folder descriptor without following symlinks, so nothing that lies in the dir can lead out of it. The
// models dir itself, `blobs` and `manifests` may be symlinks if we, root or the store's owner own them: people put
// blobs on another disk.
//
// Durability is said with each operation: what a call returned for may still be lost by a power cut unless it says
// "durable". All functions may be called from any thread but the control thread: they block. Errors carry errno in
// Error::os_error; ENOSPC and EDQUOT are kDiskFull, EACCES, EPERM, EROFS and ELOOP (a symlink in the way) kPermission,
// EXDEV of rename, link and reflink kUnsupported, others kInternal. A path that is empty, absolute or
// has an empty,
// "." or ".." component is kInvalidArgument; "." alone names the models dir itself where a folder is wanted.
// Files and folders that are made get the store's owner when we run as root, whatever the umask.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"

namespace pullama::io {

struct FileStat {
  enum class Kind { kFile, kDirectory, kSymlink, kOther };
  Kind kind = Kind::kFile;
  std::uint64_t size_bytes = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint64_t links = 1;
  std::uint64_t allocated_bytes = 0;

  bool same_file(const FileStat& other) const { return device == other.device && inode == other.inode; }
};

struct DirectoryEntry {
  std::string name;
  FileStat::Kind kind = FileStat::Kind::kFile;
};

// An open file. Positions are explicit, so several threads may use one File.
class File {
 public:
  virtual ~File() = default;
  // Fills the span unless the file ends before; returns the bytes read.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) = 0;
  // Writes all or fails. Not durable.
  virtual Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  // fdatasync: what was written before the call is durable after it. A failure means that pages may be gone: the caller
  // must not believe a later success on this descriptor.
  virtual Status sync_data() = 0;
  // fsync: mode and owner too.
  virtual Status sync_all() = 0;
  // Asks for write-back of a range to begin; a hint.
  virtual void start_write_back(std::uint64_t offset, std::uint64_t length) = 0;
  // fallocate(2), never its emulation: reserves the space and grows the file to `size_bytes`. kUnsupported where the
  // file system cannot; the caller then truncates to size instead.
  virtual Status preallocate(std::uint64_t size_bytes) = 0;
  virtual Status truncate(std::uint64_t size_bytes) = 0;
  virtual Result<FileStat> stat() = 0;
  // flock(LOCK_EX | LOCK_NB): true if we have it. It ends when the File is destroyed, or with the process.
  virtual Result<bool> try_lock() = 0;
  // A write lease (F_SETLEASE) taken and given back: true if nobody else has the file open, kUnsupported where leases
  // are not to be had.
  virtual Result<bool> nobody_else_has_it_open() = 0;
  // The mode, whatever the umask; and the store's owner when we run as root.
  virtual Status set_mode(unsigned mode) = 0;
};

enum class OpenMode {
  kRead,             // must exist
  kReadWrite,        // must exist
  kReadWriteCreate,  // made with `mode` where it is missing
  kCreateNew,        // fails with EEXIST where it is there
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode how, unsigned mode = 0644) = 0;
  // Whole content; kCorrupt when it is longer than `max_bytes`.
  virtual Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) = 0;
  // lstat; but for the models dir, `blobs` and `manifests`, which are what a trusted symlink leads to.
  virtual Result<FileStat> stat(const std::string& path) = 0;
  // Names without "." and "..", in no order.
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
  // Makes the folder and those above it (0755) where missing; each new one's parent is synced: durable.
  virtual Status make_directories(const std::string& path) = 0;
  // Replaces `to` where it exists. Durable after sync_directory of both folders.
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  // A hard link; fails with EEXIST where `to` exists. Durable after sync_directory.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  // Of a missing file: io::is_missing(). Durable after sync_directory.
  virtual Status remove(const std::string& path) = 0;
  // An empty folder.
  virtual Status remove_directory(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;
  // mtime and atime become now; the contents are not touched.
  virtual Status touch(const std::string& path) = 0;
  // What an unprivileged process may still write below `path`, in bytes.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  // A copy that shares its blocks (FICLONE); kUnsupported where the file system cannot.
  virtual Status reflink(const std::string& from, const std::string& to) = 0;
  // For messages and for SQLite, which opens by itself.
  virtual std::string native_path(const std::string& path) const = 0;
};

}  // namespace pullama::io
