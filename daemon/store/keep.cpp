#include "daemon/store/keep.h"

#include <cerrno>

#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/set_aside.h"

namespace pullama::store {
namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Puts a second name for `path` in the place of another file's, without a moment when there is neither.
Status replace_link(io::FileSystem& fs, const std::string& path, const std::string& link) {
  const std::string temporary = link + ".tmp";
  for (const std::string& name : {link, temporary}) {
    const auto there = fs.stat(name);
    if (!there || there->kind != io::FileStat::Kind::kDirectory) continue;
    if (auto moved = set_aside(fs, name); !moved) return moved;
  }
  if (auto removed = fs.remove(temporary); !removed && !io::is_missing(removed.error())) return removed;
  if (auto linked = fs.link(path, temporary); !linked) return linked;
  return fs.rename(temporary, link);
}

Status make_link(io::FileSystem& fs, const std::string& path, const std::string& link) {
  auto linked = fs.link(path, link);
  if (!linked && (io::is_missing(linked.error()) || linked.error().os_error == ENOTDIR)) {
    // The folder, unless it is `path` that is missing.
    if (auto cleared = clear_way(fs, link); !cleared) return cleared;
    linked = fs.link(path, link);
  }
  if (linked || linked.error().os_error != EEXIST) return linked;
  const auto file = fs.stat(path);
  if (!file) return fail(file.error());
  const auto held = fs.stat(link);
  if (held && held->same_file(*file)) return {};
  return replace_link(fs, path, link);
}

// A link is a precaution: where it cannot be had, the transfer goes on without.
bool goes_without(const Error& error) {
  return error.code == ErrorCode::kUnsupported || error.code == ErrorCode::kPermission;
}

}  // namespace

Status Keep::hold(const Digest& digest, const std::string& path) {
  auto linked = make_link(fs_, path, keep_path(digest));
  if (!linked && goes_without(linked.error())) return {};
  return linked;
}

Result<bool> Keep::restore(const Digest& digest, const std::string& path) {
  auto there = fs_.stat(path);
  if (there) return false;
  if (!io::is_missing(there.error())) return fail(there.error());
  const std::string link = keep_path(digest);
  auto held = fs_.stat(link);
  if (!held && io::is_missing(held.error())) return false;
  if (!held && (goes_without(held.error()) || held.error().os_error == ENOTDIR)) return false;
  if (!held) return fail(held.error());
  if (held->kind != io::FileStat::Kind::kFile) return false;
  auto linked = fs_.link(link, path);
  if (!linked) {
    // kUnsupported: the link was made where hard links worked, and the folder has moved since. EEXIST: it is back.
    if (linked.error().code == ErrorCode::kUnsupported || linked.error().os_error == EEXIST) return false;
    return fail(linked.error());
  }
  if (auto synced = fs_.sync_directory(folder_of(path)); !synced) return fail(synced.error());
  return true;
}

Status Keep::release(const Digest& digest) {
  auto removed = fs_.remove(keep_path(digest));
  if (removed || io::is_missing(removed.error()) || goes_without(removed.error())) return {};
  // No link of ours: a folder there, or a file in the place of keep/.
  if (removed.error().os_error == EISDIR || removed.error().os_error == ENOTDIR) return {};
  return removed;
}

}  // namespace pullama::store
