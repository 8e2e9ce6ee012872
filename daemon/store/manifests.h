#pragma once
// The manifests folder: finding, reading and writing manifests by Ollama's scan rules
// (manifests/<host>/<ns>/<model>/<tag>, names compared without regard to case). The same for the manifests of
// unfinished pulls, which lie in .pullm/pending/ until their blobs are there. Blocking; any thread but control.

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"
#include "daemon/io/file_system.h"
#include "daemon/manifest/manifest.h"
#include "daemon/store/models_dir.h"

namespace pullama::store {

struct InstalledManifest {
  ModelName name;
  std::string path;  // below the models dir
  std::int64_t mtime_ns = 0;
};

class Manifests {
 public:
  explicit Manifests(io::FileSystem& fs) : Manifests(fs, kManifestsDir, kManifestsDir) {}
  // Of pulls that are not finished: what is there is needed when such a pull goes on.
  static Manifests pending(io::FileSystem& fs) { return {fs, kPendingDir, kStateDir}; }

  // Holds the flock on .pullm/manifests.lock until destroyed.
  class Lock {
   public:
    explicit Lock(std::unique_ptr<io::File> file) : file_(std::move(file)) {}

   private:
    std::unique_ptr<io::File> file_;
  };
  // Waits at most `limit` (polling every 20 ms), kLocked after it, kCancelled on stop.
  Result<Lock> lock(std::chrono::milliseconds limit, std::stop_token stop);

  // The existing manifest that matches `name` without regard to case, the exact spelling first. Where there is none,
  // `name` with as many of its leading parts (host, namespace, model) spelled as the folders that are there already, so
  // that no second folder arises that differs in case only.
  Result<ModelName> existing_spelling(const ModelName& name);
  // All manifests with valid names, in no order; a path that is no valid name is skipped, a symlink at a manifest's
  // place is not (reading it fails). A folder that cannot be read fails the scan, since what it hides may use any blob;
  // with `unreadable` it is put there instead.
  Result<std::vector<InstalledManifest>> scan(std::vector<Error>* unreadable = nullptr);
  // The same without the times, which cost a look at each.
  Result<std::vector<ModelName>> names(std::vector<Error>* unreadable = nullptr);
  // io::is_missing() where there is none; kCorrupt where it does not parse.
  Result<manifest::Manifest> read(const ModelName& name);
  // And the time of what was read.
  Result<manifest::Manifest> read(const ModelName& name, std::int64_t& mtime_ns);
  // Byte for byte, atomically (temporary directly below manifests/), mode 0644, new folders synced. Precondition: Lock
  // held.
  Status write(const ModelName& name, const std::string& raw);
  // The file, whatever it is, and the folders above it that are empty then; durable. io::is_missing().
  // `name` as it is spelled there. Precondition: Lock held.
  Status remove(const ModelName& name);
  // Those above it that are empty, which a kill left after the file was removed.
  void remove_empty_folders(const ModelName& name);
  std::string path_of(const ModelName& name) const { return root_ + "/" + name.path(); }

 private:
  Manifests(io::FileSystem& fs, std::string root, std::string temporaries)
      : fs_(fs), root_(std::move(root)), temporaries_(std::move(temporaries)) {}

  io::FileSystem& fs_;
  std::string root_, temporaries_;
};

}  // namespace pullama::store
