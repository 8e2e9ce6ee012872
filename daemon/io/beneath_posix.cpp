#include "daemon/io/beneath_posix.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "daemon/io/os_error.h"
#include "daemon/io/system_calls.h"

namespace pullama::io {
namespace {

constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t kFolderMode = 0755;
constexpr int kMaxLinks = 40;  // as the kernel's own limit

Result<std::vector<std::string>> components(const std::string& path) {
  std::vector<std::string> parts;
  if (path == ".") return parts;
  std::string_view rest = path;
  while (true) {
    const auto slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string_view::npos) {
      return fail(ErrorCode::kInvalidArgument, "the path '" + path + "' does not stay below the models dir");
    }
    parts.emplace_back(part);
    if (slash == std::string_view::npos) return parts;
    rest.remove_prefix(slash + 1);
  }
}

// What stands after the last slash would let the kernel follow a link by itself ("link/", "link/.").
std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && (path.ends_with('/') || path.ends_with("/."))) path.pop_back();
  return path;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Descriptor open_folder(int at, const std::string& path, int flags) {
  return Descriptor(uninterrupted([&] { return ::openat(at, path.c_str(), kFolder | flags); }));
}

bool is_link(int folder, const std::string& name) {
  struct ::stat found {};
  return ::fstatat(folder, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(found.st_mode);
}

// Opens a folder whose last component may be a symlink, or a chain of them, looking at each link before it is followed:
// by descriptor, so that what was looked at is what is read. `link_owners` gets the owner of each.
Result<Descriptor> open_noting_links(int at, std::string path, const std::string& native,
                                     std::vector<uid_t>& link_owners) {
  Descriptor base;
  for (int links = 0; links < kMaxLinks; ++links) {
    path = without_trailing_slashes(std::move(path));
    Descriptor entry = system_calls::open_entry(at, path);
    struct ::stat found {};
    if (!entry.valid() || ::fstat(entry.get(), &found) != 0) {
      Error error = os_error("open", native, errno);
      if (links > 0) {
        // Not "missing": whoever looks for what is not there yet must not take this for an empty folder.
        error.os_error = ENODEV;
        error.hint = "it is a symbolic link to " + path + ": is that disk mounted?";
      }
      return fail(std::move(error));
    }
    if (!S_ISLNK(found.st_mode)) {
      Descriptor folder = open_folder(entry.get(), ".", 0);
      if (!folder.valid()) return fail(os_error("open", native, errno));
      return folder;
    }
    link_owners.push_back(found.st_uid);
    std::string target;
    if (const int error = system_calls::read_link(entry.get(), target); error != 0) {
      return fail(os_error("read the symbolic link", native, error));
    }
    Descriptor next = open_folder(at, parent_of(path), 0);
    if (!next.valid()) return fail(os_error("open", native, errno));
    base = std::move(next);
    at = base.get();
    path = std::move(target);
  }
  return fail(ErrorCode::kPermission, "open " + native + ": too many symbolic links", {}, ELOOP);
}

Status check_link_owners(const std::vector<uid_t>& link_owners, uid_t store_uid, const std::string& native) {
  const bool trusted = std::all_of(link_owners.begin(), link_owners.end(),
                                   [&](uid_t uid) { return uid == 0 || uid == ::geteuid() || uid == store_uid; });
  if (trusted) return {};
  return fail(ErrorCode::kPermission,
              "open " + native + ": is a symbolic link that belongs to neither you, root nor the store's owner",
              "if you trust it, replace it by one of your own", ELOOP);
}

Result<std::pair<uid_t, gid_t>> owner_of(int fd, const std::string& native) {
  struct ::stat found {};
  if (::fstat(fd, &found) != 0) return fail(os_error("stat", native, errno));
  return std::pair(found.st_uid, found.st_gid);
}

// Mode, owner and the name itself become durable. `folder` is where `made` was made.
Status settle(int folder, int made, const Owner& owner, const std::string& native) {
  if (auto set = set_mode_and_owner(made, kFolderMode, owner, native); !set) return set;
  if (const int error = system_calls::sync_all(made); error != 0) return fail(os_error("sync", native, error));
  if (const int error = system_calls::sync_all(folder); error != 0) {
    return fail(os_error("sync", parent_of(native), error));
  }
  return {};
}

// The models dir itself and what is missing above it.
Status make_models_dir(const std::string& path) {
  const std::string above = parent_of(path);
  Descriptor folder = open_folder(AT_FDCWD, above, 0);
  if (!folder.valid() && errno == ENOENT && above != path) {
    if (auto made = make_models_dir(above); !made) return made;
    folder = open_folder(AT_FDCWD, above, 0);
  }
  if (!folder.valid()) return fail(os_error("open", above, errno));
  const std::string name = path.substr(path.rfind('/') + 1);
  if (::mkdirat(folder.get(), name.c_str(), kFolderMode) != 0) {
    if (errno == EEXIST) return {};  // another process, or a link that the caller judges
    return fail(os_error("make the folder", path, errno));
  }
  auto owner = owner_of(folder.get(), above);
  if (!owner) return fail(owner.error());
  Descriptor made = open_folder(folder.get(), name, O_NOFOLLOW);
  if (!made.valid()) return fail(os_error("open", path, errno));
  return settle(folder.get(), made.get(), heir_of(owner->first, owner->second), path);
}

}  // namespace

Result<Beneath> Beneath::open(const std::string& models_dir, bool create) {
  if (!models_dir.starts_with('/') || models_dir.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "the models dir '" + models_dir + "' is not an absolute path");
  }
  Beneath beneath;
  beneath.models_dir_ = without_trailing_slashes(models_dir);
  std::vector<uid_t> link_owners;
  auto root = open_noting_links(AT_FDCWD, beneath.models_dir_, beneath.models_dir_, link_owners);
  if (!root && is_missing(root.error()) && link_owners.empty() && create) {
    if (auto made = make_models_dir(beneath.models_dir_); !made) return fail(made.error());
    root = open_noting_links(AT_FDCWD, beneath.models_dir_, beneath.models_dir_, link_owners);
  }
  if (!root) return fail(root.error());
  auto owner = owner_of(root->get(), beneath.models_dir_);
  if (!owner) return fail(owner.error());
  if (auto trusted = check_link_owners(link_owners, owner->first, beneath.models_dir_); !trusted) {
    return fail(trusted.error());
  }
  beneath.root_ = std::move(*root);
  beneath.store_uid_ = owner->first;
  beneath.owner_ = heir_of(owner->first, owner->second);
  return beneath;
}

Result<Descriptor> Beneath::step(int folder, const std::string& name, const std::string& so_far) const {
  if (may_be_link(so_far)) {
    std::vector<uid_t> link_owners;
    auto opened = open_noting_links(folder, name, native(so_far), link_owners);
    if (!opened) return opened;
    if (auto trusted = check_link_owners(link_owners, store_uid_, native(so_far)); !trusted) {
      return fail(trusted.error());
    }
    return opened;
  }
  Descriptor opened = open_folder(folder, name, O_NOFOLLOW);
  if (opened.valid()) return opened;
  const int error = errno;
  // Linux says ENOTDIR for a link here.
  return fail(os_error("open", native(so_far), error == ENOTDIR && is_link(folder, name) ? ELOOP : error));
}

Status Beneath::make(int folder, const std::string& name, const std::string& so_far) const {
  if (::mkdirat(folder, name.c_str(), kFolderMode) != 0) {
    if (errno == EEXIST) return {};
    return fail(os_error("make the folder", native(so_far), errno));
  }
  Descriptor made = open_folder(folder, name, O_NOFOLLOW);
  if (!made.valid()) return fail(os_error("open", native(so_far), errno));
  return settle(folder, made.get(), owner_, native(so_far));
}

Result<Descriptor> Beneath::walk(const std::string& path, bool create) const {
  const auto parts = components(path);
  if (!parts) return fail(parts.error());
  if (Descriptor at_once = system_calls::open_folder_beneath(root_.get(), path); at_once.valid()) return at_once;
  Descriptor current = open_folder(root_.get(), ".", 0);
  if (!current.valid()) return fail(os_error("open", models_dir_, errno));
  std::string so_far;
  for (const std::string& part : *parts) {
    so_far += so_far.empty() ? part : "/" + part;
    auto next = step(current.get(), part, so_far);
    if (!next && create && is_missing(next.error())) {
      if (auto made = make(current.get(), part, so_far); !made) return fail(made.error());
      next = step(current.get(), part, so_far);
    }
    if (!next) return next;
    current = std::move(*next);
  }
  return current;
}

Result<Descriptor> Beneath::folder(const std::string& path) const { return walk(path, false); }
Result<Descriptor> Beneath::make_folder(const std::string& path) const { return walk(path, true); }

Result<Beneath::Place> Beneath::place(const std::string& path) const {
  const auto parts = components(path);
  if (!parts) return fail(parts.error());
  if (parts->empty()) {
    return fail(ErrorCode::kInvalidArgument, "the path '" + path + "' names the models dir, not something in it");
  }
  auto folder = walk(parent_of(path), false);
  if (!folder) return fail(folder.error());
  return Place{std::move(*folder), parts->back()};
}

}  // namespace pullama::io
