#pragma once
// What CrashFileSystem and its open files share: the disk, who has what open or locked, and whether the power is on.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/io/crash_disk.h"

namespace pullama::testing {

struct CrashMachine {
  struct Place {
    InodeNumber folder = kNoInode;
    std::string name;
    InodeNumber target = kNoInode;  // kNoInode where the name is free
  };

  mutable std::mutex mutex;  // guards all below; the functions want it held
  CrashDisk disk;
  bool off = false;
  std::uint64_t mutations = 0;
  std::optional<std::uint64_t> cut_at;
  bool halve = false;                        // the operation at which the power goes is half done
  std::map<InodeNumber, const void*> locks;  // inode → the File that has it
  std::map<InodeNumber, unsigned> open_files;

  // What each operation that changes or syncs something asks last, when nothing else stands against it: false when the
  // power is off or goes now; `half` is then what of the operation still happens, if it is cut in its middle.
  bool mutating(const std::function<void()>& half = {});
  // EIO with the power off.
  Result<InodeNumber> folder(std::string_view operation, const std::string& path) const;
  Result<Place> place(std::string_view operation, const std::string& path) const;
  io::FileStat stat_of(InodeNumber number) const;

  static constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 32;  // it is memory after all
  // As PosixFileSystem judges them.
  static Result<std::vector<std::string>> components(const std::string& path);
  static std::string native(const std::string& path) { return path == "." ? "/crash" : "/crash/" + path; }
  static tl::unexpected<Error> os_fail(std::string_view operation, const std::string& path, int error_number);

 private:
  Result<InodeNumber> walk(std::string_view operation, const std::string& path,
                           const std::vector<std::string>& parts) const;
};

}  // namespace pullama::testing
