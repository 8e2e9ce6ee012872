#include "daemon/io/file_system_posix.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdio>
#include <limits>

#include "daemon/io/file_posix.h"
#include "daemon/io/os_error.h"
#include "daemon/io/system_calls.h"

namespace pullama::io {
namespace {

Descriptor open_at(const Beneath::Place& place, int flags, unsigned mode = 0) {
  // O_NONBLOCK: a planted FIFO must not hold us up. It means nothing to regular files but one thing: a file with
  // somebody's lease on it answers EWOULDBLOCK, and then waiting for the lease is right.
  const auto attempt = [&](int extra) {
    return uninterrupted([&] {
      return ::openat(place.folder.get(), place.name.c_str(), flags | extra | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
                      static_cast<mode_t>(mode));
    });
  };
  int fd = attempt(O_NONBLOCK);
  if (fd < 0 && errno == EWOULDBLOCK) fd = attempt(0);
  return Descriptor(fd);
}

struct CloseDirectory {
  void operator()(DIR* directory) const { static_cast<void>(::closedir(directory)); }
};

FileStat::Kind kind_of(int folder, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG:
      return FileStat::Kind::kFile;
    case DT_DIR:
      return FileStat::Kind::kDirectory;
    case DT_LNK:
      return FileStat::Kind::kSymlink;
    case DT_UNKNOWN: {
      struct ::stat found {};
      if (::fstatat(folder, entry.d_name, &found, AT_SYMLINK_NOFOLLOW) == 0) return to_file_stat(found).kind;
      return FileStat::Kind::kOther;
    }
    default:
      return FileStat::Kind::kOther;
  }
}

std::string both(const std::string& from, const std::string& to) { return from + " to " + to; }

}  // namespace

Result<std::unique_ptr<PosixFileSystem>> PosixFileSystem::open(const std::string& models_dir, bool create) {
  auto beneath = Beneath::open(models_dir, create);
  if (!beneath) return fail(beneath.error());
  return std::unique_ptr<PosixFileSystem>(new PosixFileSystem(std::move(*beneath)));
}

Result<std::unique_ptr<PosixFile>> PosixFileSystem::open_file(const std::string& path, OpenMode how, unsigned mode) {
  auto place = beneath_.place(path);
  if (!place) return fail(place.error());
  const std::string native = native_path(path);
  const int access = how == OpenMode::kRead ? O_RDONLY : O_RDWR;

  Descriptor fd;
  bool made = false;
  // Opening and making are two calls, so that we know which one it was: what lay there keeps its mode and owner.
  // Between the two another process may make or remove the file; then once more.
  for (int attempt = 0; attempt < 100 && !fd.valid(); ++attempt) {
    if (how != OpenMode::kCreateNew) {
      fd = open_at(*place, access);
      if (fd.valid()) break;
      if (errno != ENOENT || how != OpenMode::kReadWriteCreate) return fail(os_error("open", native, errno));
    }
    fd = open_at(*place, access | O_CREAT | O_EXCL, mode);
    made = fd.valid();
    if (!made && (errno != EEXIST || how == OpenMode::kCreateNew)) return fail(os_error("create", native, errno));
  }
  if (!fd.valid()) return fail(os_error("create", native, EEXIST));

  auto file = std::make_unique<PosixFile>(std::move(fd), native, beneath_.owner());
  if (made) {
    // Whatever the umask.
    if (auto set = file->set_mode(mode); !set) return fail(set.error());
    return file;
  }
  auto found = file->stat();
  if (!found) return fail(found.error());
  if (found->kind == FileStat::Kind::kDirectory) return fail(os_error("open", native, EISDIR));
  if (found->kind != FileStat::Kind::kFile) {
    return fail(ErrorCode::kInternal, "open " + native + ": is not a regular file", {}, EINVAL);
  }
  return file;
}

Result<std::unique_ptr<File>> PosixFileSystem::open(const std::string& path, OpenMode how, unsigned mode) {
  auto file = open_file(path, how, mode);
  if (!file) return fail(file.error());
  return std::unique_ptr<File>(std::move(*file));
}

Result<std::string> PosixFileSystem::read_file(const std::string& path, std::uint64_t max_bytes) {
  auto file = open_file(path, OpenMode::kRead, 0);
  if (!file) return fail(file.error());
  const auto too_long = [&] {
    return fail(ErrorCode::kCorrupt,
                "read " + native_path(path) + ": is longer than " + std::to_string(max_bytes) + " bytes");
  };
  auto found = (*file)->stat();
  if (!found) return fail(found.error());
  if (found->size_bytes > max_bytes) return too_long();
  // One byte more than it was long shows a file that grows meanwhile.
  std::string content(found->size_bytes + 1, '\0');
  std::size_t filled = 0;
  while (true) {
    auto got = (*file)->read_at(filled, std::as_writable_bytes(std::span(content).subspan(filled)));
    if (!got) return fail(got.error());
    filled += *got;
    if (filled > max_bytes) return too_long();
    if (filled < content.size()) break;
    content.resize(content.size() * 2);
  }
  content.resize(filled);
  return content;
}

Result<FileStat> PosixFileSystem::stat(const std::string& path) {
  struct ::stat found {};
  if (path == "." || Beneath::may_be_link(path)) {
    auto folder = beneath_.folder(path);
    if (!folder) return fail(folder.error());
    if (::fstat(folder->get(), &found) != 0) return fail(os_error("stat", native_path(path), errno));
    return to_file_stat(found);
  }
  auto place = beneath_.place(path);
  if (!place) return fail(place.error());
  if (::fstatat(place->folder.get(), place->name.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(os_error("stat", native_path(path), errno));
  }
  return to_file_stat(found);
}

Result<std::vector<DirectoryEntry>> PosixFileSystem::list(const std::string& path) {
  auto folder = beneath_.folder(path);
  if (!folder) return fail(folder.error());
  const int copy = ::fcntl(folder->get(), F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail(os_error("list", native_path(path), errno));
  const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(copy));
  if (!directory) {
    const int error = errno;
    static_cast<void>(::close(copy));
    return fail(os_error("list", native_path(path), error));
  }
  std::vector<DirectoryEntry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") entries.push_back({name, kind_of(folder->get(), *entry)});
  }
  if (errno != 0) return fail(os_error("list", native_path(path), errno));
  return entries;
}

Status PosixFileSystem::make_directories(const std::string& path) {
  auto folder = beneath_.make_folder(path);
  if (!folder) return fail(folder.error());
  return {};
}

Status PosixFileSystem::rename(const std::string& from, const std::string& to) {
  auto source = beneath_.place(from);
  if (!source) return fail(source.error());
  auto target = beneath_.place(to);
  if (!target) return fail(target.error());
  if (::renameat(source->folder.get(), source->name.c_str(), target->folder.get(), target->name.c_str()) == 0) {
    return {};
  }
  const int error = errno;
  const std::string names = both(native_path(from), native_path(to));
  return fail(error == EXDEV ? unsupported("rename", names, error) : os_error("rename", names, error));
}

Status PosixFileSystem::link(const std::string& from, const std::string& to) {
  auto source = beneath_.place(from);
  if (!source) return fail(source.error());
  auto target = beneath_.place(to);
  if (!target) return fail(target.error());
  if (::linkat(source->folder.get(), source->name.c_str(), target->folder.get(), target->name.c_str(), 0) == 0) {
    return {};
  }
  const int error = errno;
  const std::string names = both(native_path(from), native_path(to));
  switch (error) {
    case EXDEV:
    case EPERM:  // vfat and others without hard links; also fs.protected_hardlinks
    case EMLINK:
    case EOPNOTSUPP:
    case ENOSYS:
      return fail(unsupported("link", names, error));
    default:
      return fail(os_error("link", names, error));
  }
}

Status PosixFileSystem::remove(const std::string& path) {
  auto place = beneath_.place(path);
  if (!place) return fail(place.error());
  if (::unlinkat(place->folder.get(), place->name.c_str(), 0) != 0) {
    return fail(os_error("remove", native_path(path), errno));
  }
  return {};
}

Status PosixFileSystem::remove_directory(const std::string& path) {
  auto place = beneath_.place(path);
  if (!place) return fail(place.error());
  if (::unlinkat(place->folder.get(), place->name.c_str(), AT_REMOVEDIR) != 0) {
    return fail(os_error("remove the folder", native_path(path), errno));
  }
  return {};
}

Status PosixFileSystem::sync_directory(const std::string& path) {
  auto folder = beneath_.folder(path);
  if (!folder) return fail(folder.error());
  const int error = system_calls::sync_all(folder->get());
  // EINVAL: a file system (some FUSE and network ones) where folders cannot be synced at all; there is no more to be
  // had.
  if (error != 0 && error != EINVAL) return fail(os_error("sync", native_path(path), error));
  return {};
}

Status PosixFileSystem::touch(const std::string& path) {
  auto place = beneath_.place(path);
  if (!place) return fail(place.error());
  if (::utimensat(place->folder.get(), place->name.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail(os_error("touch", native_path(path), errno));
  }
  return {};
}

Result<std::uint64_t> PosixFileSystem::free_bytes(const std::string& path) {
  auto folder = beneath_.folder(path);
  if (!folder) return fail(folder.error());
  struct ::statvfs found {};
  if (uninterrupted([&] { return ::fstatvfs(folder->get(), &found); }) != 0) {
    return fail(os_error("ask for the free space of", native_path(path), errno));
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t block = found.f_frsize != 0 ? found.f_frsize : 1;
  return found.f_bavail > kMost / block ? kMost : found.f_bavail * block;
}

Status PosixFileSystem::reflink(const std::string& from, const std::string& to) {
  auto source = open_file(from, OpenMode::kRead, 0);
  if (!source) return fail(source.error());
  auto target = open_file(to, OpenMode::kCreateNew, 0644);
  if (!target) return fail(target.error());
  const int error = system_calls::share_blocks((*source)->descriptor(), (*target)->descriptor());
  if (error == 0) return {};
  const std::string names = both(native_path(from), native_path(to));
  const bool cannot = error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY || error == ENOSYS;
  Error answer = cannot ? unsupported("clone", names, error) : os_error("clone", names, error);
  if (auto removed = remove(to); !removed) return removed;
  return fail(std::move(answer));
}

std::string PosixFileSystem::native_path(const std::string& path) const { return beneath_.native(path); }

}  // namespace pullama::io
