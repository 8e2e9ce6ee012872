#pragma once
// The FileSystem of a real models dir. How paths are resolved, and which symlinks are followed: beneath_posix.h.
// Rename and link between folders that lie on two file systems (blobs/ on another disk, .pullm/ not) are kUnsupported,
// as is a link where the file system has no hard links: callers go on without.

#include <memory>
#include <string>

#include "daemon/io/beneath_posix.h"
#include "daemon/io/file_system.h"

namespace pullama::io {

class PosixFile;

class PosixFileSystem final : public FileSystem {
 public:
  // `models_dir` is an absolute path. is_missing() where it is not there, unless `create`.
  static Result<std::unique_ptr<PosixFileSystem>> open(const std::string& models_dir, bool create);

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode how, unsigned mode = 0644) override;
  Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) override;
  Result<FileStat> stat(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Status make_directories(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status link(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_directory(const std::string& path) override;
  Status sync_directory(const std::string& path) override;
  Status touch(const std::string& path) override;
  Result<std::uint64_t> free_bytes(const std::string& path) override;
  Status reflink(const std::string& from, const std::string& to) override;
  std::string native_path(const std::string& path) const override;

 private:
  explicit PosixFileSystem(Beneath beneath) : beneath_(std::move(beneath)) {}
  Result<std::unique_ptr<PosixFile>> open_file(const std::string& path, OpenMode how, unsigned mode);

  Beneath beneath_;
};

}  // namespace pullama::io
