#include "tests/support/io/crash_file_system.h"

#include <cerrno>
#include <utility>

#include "daemon/io/os_error.h"
#include "tests/support/io/crash_file.h"
#include "tests/support/io/crash_machine.h"

namespace pullama::testing {
namespace {

using Kind = io::FileStat::Kind;

constexpr std::uint64_t kFreeBytes = std::uint64_t{1} << 40;

tl::unexpected<Error> os_fail(std::string_view operation, const std::string& path, int error_number) {
  return CrashMachine::os_fail(operation, path, error_number);
}

}  // namespace

CrashFileSystem::CrashFileSystem() : machine_(std::make_shared<CrashMachine>()) {}
CrashFileSystem::CrashFileSystem(std::shared_ptr<CrashMachine> machine) : machine_(std::move(machine)) {}
CrashFileSystem::~CrashFileSystem() = default;

std::uint64_t CrashFileSystem::mutations() const {
  const std::lock_guard lock(machine_->mutex);
  return machine_->mutations;
}

void CrashFileSystem::cut_before(std::uint64_t nth) {
  const std::lock_guard lock(machine_->mutex);
  machine_->cut_at = machine_->mutations + nth;
  machine_->halve = false;
}

void CrashFileSystem::cut_amid(std::uint64_t nth) {
  const std::lock_guard lock(machine_->mutex);
  machine_->cut_at = machine_->mutations + nth;
  machine_->halve = true;
}

void CrashFileSystem::cut_now() {
  const std::lock_guard lock(machine_->mutex);
  machine_->off = true;
}

bool CrashFileSystem::is_off() const {
  const std::lock_guard lock(machine_->mutex);
  return machine_->off;
}

std::unique_ptr<CrashFileSystem> CrashFileSystem::recover(Survivors survivors, std::uint64_t seed) const {
  auto machine = std::make_shared<CrashMachine>();
  {
    const std::lock_guard lock(machine_->mutex);
    machine->disk = machine_->disk.after_power_cut(survivors, seed);
  }
  return std::unique_ptr<CrashFileSystem>(new CrashFileSystem(std::move(machine)));
}

Result<std::unique_ptr<io::File>> CrashFileSystem::open(const std::string& path, io::OpenMode how, unsigned mode) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("open", path, EIO);
  auto place = machine_->place("open", path);
  if (!place) return fail(place.error());
  if (place->target != kNoInode) {
    if (how == io::OpenMode::kCreateNew) return os_fail("create", path, EEXIST);
    if (machine_->disk.at(place->target).kind != Kind::kFile) return os_fail("open", path, EISDIR);
  } else {
    if (how == io::OpenMode::kRead || how == io::OpenMode::kReadWrite) return os_fail("open", path, ENOENT);
    if (!machine_->mutating()) return os_fail("create", path, EIO);
    place->target = machine_->disk.make(place->folder, place->name, Kind::kFile, mode);
  }
  return std::unique_ptr<io::File>(
      std::make_unique<CrashFile>(machine_, place->target, path, how != io::OpenMode::kRead));
}

Result<std::string> CrashFileSystem::read_file(const std::string& path, std::uint64_t max_bytes) {
  auto file = open(path, io::OpenMode::kRead);
  if (!file) return fail(file.error());
  auto found = (*file)->stat();
  if (!found) return fail(found.error());
  if (found->size_bytes > max_bytes) {
    return fail(ErrorCode::kCorrupt,
                "read " + CrashMachine::native(path) + ": is longer than " + std::to_string(max_bytes) + " bytes");
  }
  std::string content(found->size_bytes, '\0');
  auto got = (*file)->read_at(0, std::as_writable_bytes(std::span(content)));
  if (!got) return fail(got.error());
  content.resize(*got);
  return content;
}

Result<io::FileStat> CrashFileSystem::stat(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("stat", path, EIO);
  if (path == ".") return machine_->stat_of(kRoot);
  auto place = machine_->place("stat", path);
  if (!place) return fail(place.error());
  if (place->target == kNoInode) return os_fail("stat", path, ENOENT);
  return machine_->stat_of(place->target);
}

Result<std::vector<io::DirectoryEntry>> CrashFileSystem::list(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("list", path, EIO);
  auto folder = machine_->folder("list", path);
  if (!folder) return fail(folder.error());
  std::vector<io::DirectoryEntry> entries;
  for (const auto& [name, target] : machine_->disk.at(*folder).entries) {
    entries.push_back({name, machine_->disk.at(target).kind});
  }
  return entries;
}

Status CrashFileSystem::make_directories(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("make the folder", path, EIO);
  auto parts = CrashMachine::components(path);
  if (!parts) return fail(parts.error());
  InodeNumber current = kRoot;
  for (const std::string& part : *parts) {
    InodeNumber next = machine_->disk.find(current, part);
    if (next == kNoInode) {
      if (!machine_->mutating()) return os_fail("make the folder", path, EIO);
      next = machine_->disk.make(current, part, Kind::kDirectory, 0755);
      if (!machine_->mutating()) return os_fail("sync", path, EIO);
      machine_->disk.sync_folder(current);
    } else if (machine_->disk.at(next).kind != Kind::kDirectory) {
      return os_fail("open", path, ENOTDIR);
    }
    current = next;
  }
  return {};
}

Status CrashFileSystem::rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(machine_->mutex);
  auto source = machine_->place("rename", from);
  if (!source) return fail(source.error());
  auto target = machine_->place("rename", to);
  if (!target) return fail(target.error());
  if (source->target == kNoInode) return os_fail("rename", from, ENOENT);
  const bool from_folder = machine_->disk.at(source->target).kind == Kind::kDirectory;
  if (target->target != kNoInode) {
    const Inode& there = machine_->disk.at(target->target);
    if (there.kind == Kind::kDirectory && !from_folder) return os_fail("rename", to, EISDIR);
    if (there.kind != Kind::kDirectory && from_folder) return os_fail("rename", to, ENOTDIR);
    if (!there.entries.empty()) return os_fail("rename", to, ENOTEMPTY);
  }
  if (!machine_->mutating()) return os_fail("rename", from, EIO);
  machine_->disk.rename(source->folder, source->name, target->folder, target->name);
  return {};
}

Status CrashFileSystem::link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(machine_->mutex);
  auto source = machine_->place("link", from);
  if (!source) return fail(source.error());
  auto target = machine_->place("link", to);
  if (!target) return fail(target.error());
  if (source->target == kNoInode) return os_fail("link", from, ENOENT);
  if (target->target != kNoInode) return os_fail("link", to, EEXIST);
  if (machine_->disk.at(source->target).kind == Kind::kDirectory) {
    return fail(io::unsupported("link", CrashMachine::native(from), EPERM));
  }
  if (!machine_->mutating()) return os_fail("link", from, EIO);
  machine_->disk.link(target->folder, target->name, source->target);
  return {};
}

Status CrashFileSystem::remove(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  auto place = machine_->place("remove", path);
  if (!place) return fail(place.error());
  if (place->target == kNoInode) return os_fail("remove", path, ENOENT);
  if (machine_->disk.at(place->target).kind == Kind::kDirectory) return os_fail("remove", path, EISDIR);
  if (!machine_->mutating()) return os_fail("remove", path, EIO);
  machine_->disk.unlink(place->folder, place->name);
  return {};
}

Status CrashFileSystem::remove_directory(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  auto place = machine_->place("remove the folder", path);
  if (!place) return fail(place.error());
  if (place->target == kNoInode) return os_fail("remove the folder", path, ENOENT);
  const Inode& folder = machine_->disk.at(place->target);
  if (folder.kind != Kind::kDirectory) return os_fail("remove the folder", path, ENOTDIR);
  if (!folder.entries.empty()) return os_fail("remove the folder", path, ENOTEMPTY);
  if (!machine_->mutating()) return os_fail("remove the folder", path, EIO);
  machine_->disk.unlink(place->folder, place->name);
  return {};
}

Status CrashFileSystem::sync_directory(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  auto folder = machine_->folder("sync", path);
  if (!folder) return fail(folder.error());
  if (!machine_->mutating([&] { machine_->disk.sync_half_of_folder(*folder); })) return os_fail("sync", path, EIO);
  machine_->disk.sync_folder(*folder);
  return {};
}

Status CrashFileSystem::touch(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  auto place = machine_->place("touch", path);
  if (!place) return fail(place.error());
  if (place->target == kNoInode) return os_fail("touch", path, ENOENT);
  if (!machine_->mutating()) return os_fail("touch", path, EIO);
  machine_->disk.touch(place->target);
  return {};
}

Result<std::uint64_t> CrashFileSystem::free_bytes(const std::string& path) {
  const std::lock_guard lock(machine_->mutex);
  if (machine_->off) return os_fail("ask for the free space of", path, EIO);
  auto folder = machine_->folder("ask for the free space of", path);
  if (!folder) return fail(folder.error());
  return kFreeBytes;
}

Status CrashFileSystem::reflink(const std::string& from, const std::string&) {
  return fail(io::unsupported("clone", CrashMachine::native(from), EOPNOTSUPP));
}

std::string CrashFileSystem::native_path(const std::string& path) const { return CrashMachine::native(path); }

}  // namespace pullama::testing
