#include "daemon/io/atomic_write.h"

#include "daemon/io/os_error.h"

namespace pullama::io {
namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Status write_whole(FileSystem& fs, const std::string& path, std::string_view content, unsigned mode) {
  auto file = fs.open(path, OpenMode::kCreateNew, mode);
  if (!file) return fail(file.error());
  if (auto written = (*file)->write_at(0, std::as_bytes(std::span(content))); !written) return written;
  return (*file)->sync_all();
}

}  // namespace

Status atomic_write(FileSystem& fs, const std::string& path, std::string_view content, unsigned mode,
                    const std::string& temporary) {
  const std::string temp = temporary.empty() ? path + ".tmp" : temporary;
  // What lies there is somebody's leftover, perhaps a planted link: it goes, and ours is a new inode.
  if (auto removed = fs.remove(temp); !removed && !is_missing(removed.error())) return removed;

  Status done = write_whole(fs, temp, content, mode);
  if (done) done = fs.rename(temp, path);
  if (!done) {
    // The first failure is the one to report; a temporary that cannot be removed either is replaced by the next write.
    static_cast<void>(fs.remove(temp));
    return done;
  }
  if (auto synced = fs.sync_directory(folder_of(path)); !synced) return synced;
  if (folder_of(temp) != folder_of(path)) return fs.sync_directory(folder_of(temp));
  return {};
}

}  // namespace pullama::io
