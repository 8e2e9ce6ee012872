#pragma once
// Every name on disk, in one place (paths relative to the models dir, for io::FileSystem).

#include <string>

#include "common/digest.h"
#include "common/model_name.h"

namespace pullama::store {

inline constexpr const char* kBlobsDir = "blobs";
inline constexpr const char* kManifestsDir = "manifests";
inline constexpr const char* kStateDir = ".pullm";
inline constexpr const char* kKeepDir = ".pullm/keep";
// The manifests of pulls that are not finished, named like those in manifests/.
inline constexpr const char* kPendingDir = ".pullm/pending";
inline constexpr const char* kQueueFile = ".pullm/queue.json";
inline constexpr const char* kDaemonLock = ".pullm/daemon.lock";
inline constexpr const char* kHistoryFile = ".pullm/history.db";
// Taken (flock) by whoever changes manifests or removes blobs: pull's last step, rm, clean, cp, update.
inline constexpr const char* kManifestsLock = ".pullm/manifests.lock";

// A manifest's temporary: directly below manifests/, where no scan looks for models.
inline constexpr const char* kTemporaryPrefix = ".pullm-";
inline constexpr const char* kTemporarySuffix = ".tmp";
inline constexpr const char* kTrialSuffix = ".try";  // of files to try writing with

std::string blob_path(const Digest& digest);          // blobs/sha256-<hex>
std::string partial_path(const Digest& digest);       // blobs/sha256-<hex>.partial
std::string blob_lock_path(const Digest& digest);     // blobs/sha256-<hex>.lock
std::string checkpoint_path(const Digest& digest);    // .pullm/sha256-<hex>.json
std::string unsynced_path(const Digest& digest);      // .pullm/sha256-<hex>.unsynced
std::string upload_path(const Digest& digest);        // .pullm/upload-<hex>.json
std::string keep_path(const Digest& digest);          // .pullm/keep/sha256-<hex>
std::string manifest_path(const ModelName& name);     // manifests/<host>/<ns>/<model>/<tag>
std::string temporary_in(const std::string& folder);  // <folder>/.pullm-<random>.tmp, new at each call
// Ollama's own unfinished downloads.
std::string ollama_partial_path(const Digest& digest);                // blobs/sha256-<hex>-partial
std::string ollama_part_path(const Digest& digest, unsigned number);  // blobs/sha256-<hex>-partial-<n>

}  // namespace pullama::store
