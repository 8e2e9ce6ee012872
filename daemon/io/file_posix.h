#pragma once
// An open file by its descriptor.

#include <sys/stat.h>

#include <string>

#include "daemon/io/beneath_posix.h"
#include "daemon/io/file_system.h"

namespace pullama::io {

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string native_path, Owner owner)
      : fd_(std::move(fd)), native_path_(std::move(native_path)), owner_(owner) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override;
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Status sync_data() override;
  Status sync_all() override;
  void start_write_back(std::uint64_t offset, std::uint64_t length) override;
  Status preallocate(std::uint64_t size_bytes) override;
  Status truncate(std::uint64_t size_bytes) override;
  Result<FileStat> stat() override;
  Result<bool> try_lock() override;
  Result<bool> nobody_else_has_it_open() override;
  Status set_mode(unsigned mode) override;

  int descriptor() const { return fd_.get(); }

 private:
  Descriptor fd_;
  std::string native_path_;
  Owner owner_;
};

FileStat to_file_stat(const struct ::stat& from);

}  // namespace pullama::io
