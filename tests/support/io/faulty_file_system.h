#pragma once
// A FileSystem that fails when a test says so, in front of a real one. Counts what passes through it. Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/io/file_system.h"

namespace pullama::testing {

class FaultyFileSystem final : public io::FileSystem {
 public:
  enum class Operation {
    kOpen,    // of what is there
    kCreate,  // kReadWriteCreate and kCreateNew
    kRead,
    kWrite,
    kSync,  // both kinds
    kPreallocate,
    kTruncate,
    kStat,
    kLock,
    kLease,
    kSetMode,
    kList,
    kMakeDirectories,
    kRename,  // paths are matched against both names
    kLink,
    kRemove,
    kRemoveDirectory,
    kSyncDirectory,
    kTouch,
    kFreeBytes,
    kReflink,
  };

  explicit FaultyFileSystem(io::FileSystem& inner) : inner_(inner) {}

  // From the `nth` matching operation on (counted from this call, 1 is the next one), `times` of them fail with
  // `error_number` and do nothing; EOPNOTSUPP and EXDEV become kUnsupported. `path_part`: only paths that contain it.
  void fail(Operation operation, int error_number, unsigned nth = 1, unsigned times = 1, std::string path_part = {});
  static constexpr unsigned kAlways = 0xFFFF'FFFF;
  // free_bytes() says this instead.
  void set_free_bytes(std::uint64_t bytes);
  // Called before each operation, outside the mutex, on the caller's thread.
  void on_operation(std::function<void(Operation, const std::string& path)> observer);
  void clear();  // faults, free bytes and observer; the counts stay

  std::uint64_t count(Operation operation, const std::string& path_part = {}) const;
  std::uint64_t failures() const;
  std::uint64_t bytes_written() const;

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
  std::string native_path(const std::string& path) const override { return inner_.native_path(path); }

  // What each operation asks first; for the files that open() gave.
  Status before(Operation operation, const std::string& path, const std::string& second_path = {});
  void note_written(std::uint64_t bytes);

 private:
  struct Fault {
    Operation operation;
    int error_number;
    unsigned skip, times;
    std::string path_part;
  };

  io::FileSystem& inner_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<Fault> faults_;
  std::map<std::pair<Operation, std::string>, std::uint64_t> counts_;
  std::uint64_t failures_ = 0, bytes_written_ = 0;
  std::optional<std::uint64_t> free_bytes_;
  std::function<void(Operation, const std::string&)> observer_;
};

}  // namespace pullama::testing
