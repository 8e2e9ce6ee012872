#include "daemon/store/keep.h"

#include <cerrno>

#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Puts a second name for `path` in the place of another file's, without a moment when there is neither.
Status replace_link(io::FileSystem& fs, const std::string& path, const std::string& link) {
  const std::string temporary = link + ".tmp";
  if (auto removed = fs.remove(temporary); !removed && removed.error().code != ErrorCode::kNotFound) return removed;
  if (auto linked = fs.link(path, temporary); !linked) return linked;
  return fs.rename(temporary, link);
}

}  // namespace

Status Keep::hold(const Digest& digest, const std::string& path) {
  const std::string link = keep_path(digest);
  auto linked = fs_.link(path, link);
  if (!linked && linked.error().code == ErrorCode::kNotFound) {
    // The folder, unless it is `path` that is missing.
    if (auto made = fs_.make_directories(kKeepDir); !made) return made;
    linked = fs_.link(path, link);
  }
  if (!linked && linked.error().os_error == EEXIST) {
    auto file = fs_.stat(path);
    if (!file) return fail(file.error());
    auto held = fs_.stat(link);
    if (held && held->same_file(*file)) return {};
    linked = replace_link(fs_, path, link);
  }
  if (!linked && linked.error().code == ErrorCode::kUnsupported) return {};
  return linked;
}

Result<bool> Keep::restore(const Digest& digest, const std::string& path) {
  auto there = fs_.stat(path);
  if (there) return false;
  if (there.error().code != ErrorCode::kNotFound) return fail(there.error());
  const std::string link = keep_path(digest);
  auto held = fs_.stat(link);
  if (!held && held.error().code == ErrorCode::kNotFound) return false;
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
  if (!removed && removed.error().code == ErrorCode::kNotFound) return {};
  return removed;
}

}  // namespace pullama::store
