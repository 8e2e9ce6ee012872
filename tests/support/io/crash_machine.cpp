#include "tests/support/io/crash_machine.h"

#include <cerrno>

#include "daemon/io/os_error.h"

namespace pullama::testing {
namespace {

constexpr std::uint64_t kDevice = 77;

}  // namespace

bool CrashMachine::mutating(const std::function<void()>& half) {
  if (off) return false;
  if (cut_at && mutations + 1 >= *cut_at) {
    off = true;
    if (halve && half) half();
    return false;
  }
  ++mutations;
  return true;
}

Result<InodeNumber> CrashMachine::folder(std::string_view operation, const std::string& path) const {
  if (off) return os_fail(operation, path, EIO);
  auto parts = components(path);
  if (!parts) return fail(parts.error());
  return walk(operation, path, *parts);
}

Result<CrashMachine::Place> CrashMachine::place(std::string_view operation, const std::string& path) const {
  if (off) return os_fail(operation, path, EIO);
  auto parts = components(path);
  if (!parts) return fail(parts.error());
  if (parts->empty()) {
    return fail(ErrorCode::kInvalidArgument, "the path '" + path + "' names the models dir, not something in it");
  }
  Place found;
  found.name = parts->back();
  parts->pop_back();
  auto above = walk(operation, path, *parts);
  if (!above) return fail(above.error());
  found.folder = *above;
  found.target = disk.find(found.folder, found.name);
  return found;
}

io::FileStat CrashMachine::stat_of(InodeNumber number) const {
  const Inode& inode = disk.at(number);
  io::FileStat stat;
  stat.kind = inode.kind;
  stat.size_bytes = stat.allocated_bytes = inode.bytes.size();
  stat.device = kDevice;
  stat.inode = number;
  stat.mtime_ns = inode.mtime;
  stat.ctime_ns = inode.ctime;
  stat.links = inode.links;
  return stat;
}

Result<InodeNumber> CrashMachine::walk(std::string_view operation, const std::string& path,
                                       const std::vector<std::string>& parts) const {
  InodeNumber current = kRoot;
  for (const std::string& part : parts) {
    current = disk.find(current, part);
    if (current == kNoInode) return os_fail(operation, path, ENOENT);
    if (disk.at(current).kind != io::FileStat::Kind::kDirectory) return os_fail(operation, path, ENOTDIR);
  }
  return current;
}

Result<std::vector<std::string>> CrashMachine::components(const std::string& path) {
  std::vector<std::string> parts;
  if (path == ".") return parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t slash = path.find('/', begin);
    const std::string part = path.substr(begin, slash == std::string::npos ? slash : slash - begin);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) {
      return fail(ErrorCode::kInvalidArgument, "the path '" + path + "' does not stay below the models dir");
    }
    parts.push_back(part);
    if (slash == std::string::npos) return parts;
    begin = slash + 1;
  }
}

tl::unexpected<Error> CrashMachine::os_fail(std::string_view operation, const std::string& path, int error_number) {
  return fail(io::os_error(operation, native(path), error_number));
}

}  // namespace pullama::testing
