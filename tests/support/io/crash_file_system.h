#pragma once
// A FileSystem in memory whose power can be cut: crash_disk.h says what a cut leaves. A crash test runs its subject
// once to count the mutating operations, then once for each number with the power cut there, and looks at what
// recover() gives in each variant:
//
//   for (n = 1; ; ++n) {
//     CrashFileSystem disk; …prepare…; disk.cut_before(n); …run the subject, which fails…
//     if (!disk.is_off()) break;            // it ran through: all points were tried
//     auto after = disk.recover(Survivors::kRandom, seed); …check what must hold…
//   }
//
// Behaves as PosixFileSystem does (file_system_contract_test.cpp holds both to it), without symlinks, owners and
// reflinks. Thread-safe. Combine with FaultyFileSystem for single failures and full disks.

#include <memory>
#include <string>

#include "daemon/io/file_system.h"
#include "tests/support/io/crash_disk.h"

namespace pullama::testing {

struct CrashMachine;

class CrashFileSystem final : public io::FileSystem {
 public:
  CrashFileSystem();
  ~CrashFileSystem() override;

  // Operations that changed or synced something, so far.
  std::uint64_t mutations() const;
  // The power goes instead of the `nth` mutating operation from now (1: the next one): it and whatever comes after, on
  // every thread, changes nothing and fails with EIO.
  void cut_before(std::uint64_t nth);
  // The same, but the first half of a write's bytes, or of what a sync makes durable, is done before the power goes.
  // (After an operation is before the next one.)
  void cut_amid(std::uint64_t nth);
  void cut_now();
  bool is_off() const;
  // The disk once the power is back: nothing is open or locked, and all that is there is durable. Can be asked at any
  // time, power on (a cut just now) or off, for as many variants as a test likes; this disk stays as it is.
  std::unique_ptr<CrashFileSystem> recover(Survivors survivors, std::uint64_t seed = 0) const;

  Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode how, unsigned mode = 0644) override;
  Result<std::string> read_file(const std::string& path, std::uint64_t max_bytes) override;
  Result<io::FileStat> stat(const std::string& path) override;
  Result<std::vector<io::DirectoryEntry>> list(const std::string& path) override;
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
  explicit CrashFileSystem(std::shared_ptr<CrashMachine> machine);
  std::shared_ptr<CrashMachine> machine_;  // outlives this object with the files that are still open
};

}  // namespace pullama::testing
