#include "daemon/engine/writable.h"

#include <fmt/format.h>

#include <mutex>
#include <string>

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

}  // namespace

Status try_writing(io::FileSystem& fs) {
  // Two jobs of this daemon, which has the models dir for itself, would rename each other's file.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  for (const char* folder : {store::kManifestsDir, store::kBlobsDir, store::kStateDir}) {
    if (auto status = try_folder(fs, folder); !status) return status;
  }
  if (auto made = fs.make_directories(store::kKeepDir); !made) return explain(made.error(), fs, store::kKeepDir);
  return {};
}

}  // namespace pullama::engine
