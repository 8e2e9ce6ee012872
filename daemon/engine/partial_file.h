#pragma once
// blobs/sha256-<hex>.partial: the bytes of a download under way, written at their offsets. Opened and flocked once for
// a transfer; a sync that failed is never tried again on the same descriptor (the pages are gone), so open() anew after
// one. Thread-safe like io::File.

#include <memory>

#include "common/digest.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

class PartialFile {
 public:
  // Makes the file where it is missing. kLocked when another process holds its inode.
  static Result<PartialFile> open(io::FileSystem& fs, const Digest& digest);

  // Whether another process has it locked; false where there is none.
  static bool held_by_another(io::FileSystem& fs, const Digest& digest);

  // Grows it to the blob's size with its space reserved; on file systems that cannot reserve, without. A file that is
  // longer is cut. Nothing that was written is lost.
  Status reserve(std::uint64_t size_bytes);
  // False when another file, or none, lies at the path now.
  Result<bool> still_at_its_path() const;

  io::File& file() { return *file_; }
  const io::FileStat& stat_at_open() const { return stat_; }
  bool existed() const { return existed_; }

 private:
  PartialFile(io::FileSystem& fs, std::string path, std::unique_ptr<io::File> file, io::FileStat stat, bool existed)
      : fs_(&fs), path_(std::move(path)), file_(std::move(file)), stat_(stat), existed_(existed) {}
  io::FileSystem* fs_;
  std::string path_;
  std::unique_ptr<io::File> file_;
  io::FileStat stat_;
  bool existed_;
};

}  // namespace pullama::engine
