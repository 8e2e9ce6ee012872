#include "daemon/engine/writable.h"

#include <fmt/format.h>

#include <mutex>
#include <string>

#include "daemon/io/may_change.h"
#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

Status explain(Error error, const io::FileSystem& fs, const std::string& folder) {
  error.message = fmt::format("cannot write to {}: {}", fs.native_path(folder), error.message);
  if (error.code == ErrorCode::kPermission) {
    error.hint = "run the daemon as the owner of the models dir, or choose another with --models-dir";
  }
  return fail(std::move(error));
}

Status try_folder(io::FileSystem& fs, const std::string& folder) {
  if (auto made = fs.make_directories(folder); !made) return explain(made.error(), fs, folder);
  // One name, so that what a crash leaves is gone with the next try; at this depth Ollama takes nothing for a manifest.
  // Not .tmp: whoever writes a manifest meanwhile sweeps those.
  const std::string path = folder + "/.pullm-trying" + store::kTrialSuffix;
  const std::string renamed = folder + "/.pullm-tried" + store::kTrialSuffix;
  {
    auto file = fs.open(path, io::OpenMode::kReadWriteCreate, 0600);
    if (!file) return explain(file.error(), fs, folder);
    if (auto synced = (*file)->sync_all(); !synced) return explain(synced.error(), fs, folder);
  }
  auto moved = fs.rename(path, renamed);
  auto removed = fs.remove(moved ? renamed : path);
  if (!moved) return explain(moved.error(), fs, folder);
  if (!removed) return explain(removed.error(), fs, folder);
  if (auto synced = fs.sync_directory(folder); !synced) return explain(synced.error(), fs, folder);
  return {};
}

Status in_the_way(const io::FileSystem& fs, const std::string& path, io::FileStat::Kind kind, const char* wanted) {
  const std::string what = kind == io::FileStat::Kind::kSymlink
                               ? "a symbolic link lies there"
                               : fmt::format("something that is no {} lies there", wanted);
  return fail(ErrorCode::kPermission, fmt::format("cannot write to {}: {}", fs.native_path(path), what),
              "move it away and try again");
}

// The way to the manifest as far as it is there. Nothing is made: at its depth Ollama takes whatever lies there for a
// model.
Status look_along(io::FileSystem& fs, const std::string& manifest) {
  std::string deepest = store::kManifestsDir;
  for (std::size_t slash = deepest.size(); slash != std::string::npos;) {
    slash = manifest.find('/', slash + 1);
    const std::string path = manifest.substr(0, slash);
    const auto there = fs.stat(path);
    if (!there && io::is_missing(there.error())) break;
    if (!there) return explain(there.error(), fs, path);
    const bool last = slash == std::string::npos;
    const auto wanted = last ? io::FileStat::Kind::kFile : io::FileStat::Kind::kDirectory;
    if (there->kind != wanted) return in_the_way(fs, path, there->kind, last ? "regular file" : "folder");
    if (!last) deepest = path;
  }
  if (io::may_change(fs, deepest)) return {};
  return explain({ErrorCode::kPermission, "its permissions or its disk do not allow it", {}, 0}, fs, deepest);
}

}  // namespace

Status try_writing(io::FileSystem& fs, const std::string& manifest) {
  // Two jobs of this daemon, which has the models dir for itself, would rename each other's file.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  for (const char* folder : {store::kManifestsDir, store::kBlobsDir, store::kStateDir}) {
    if (auto status = try_folder(fs, folder); !status) return status;
  }
  return look_along(fs, manifest);
}

}  // namespace pullama::engine
