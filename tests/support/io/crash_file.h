#pragma once
// An open file of CrashFileSystem.

#include <memory>
#include <string>

#include "tests/support/io/crash_machine.h"

namespace pullama::testing {

class CrashFile final : public io::File {
 public:
  // With the machine's mutex held.
  CrashFile(std::shared_ptr<CrashMachine> machine, InodeNumber inode, std::string path, bool writable);
  ~CrashFile() override;

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override;
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override;
  Status sync_data() override;
  Status sync_all() override;
  void start_write_back(std::uint64_t, std::uint64_t) override {}
  Status preallocate(std::uint64_t size_bytes) override;
  Status truncate(std::uint64_t size_bytes) override;
  Result<io::FileStat> stat() override;
  Result<bool> try_lock() override;
  Result<bool> nobody_else_has_it_open() override;
  Status set_mode(unsigned mode) override;

 private:
  tl::unexpected<Error> os_fail(std::string_view operation, int error_number) const {
    return CrashMachine::os_fail(operation, path_, error_number);
  }

  std::shared_ptr<CrashMachine> machine_;
  InodeNumber inode_;
  std::string path_;
  bool writable_;
};

}  // namespace pullama::testing
