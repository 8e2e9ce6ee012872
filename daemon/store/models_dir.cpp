#include "daemon/store/models_dir.h"

#include <random>

namespace pullama::store {
namespace {

std::string in_blobs(const Digest& digest, const char* suffix) {
  return std::string(kBlobsDir) + "/" + digest.file_name() + suffix;
}

std::string in_state(const std::string& name) { return std::string(kStateDir) + "/" + name; }

}  // namespace

std::string blob_path(const Digest& digest) { return in_blobs(digest, ""); }
std::string partial_path(const Digest& digest) { return in_blobs(digest, ".partial"); }
std::string blob_lock_path(const Digest& digest) { return in_blobs(digest, ".lock"); }
std::string checkpoint_path(const Digest& digest) { return in_state(digest.file_name() + ".json"); }
std::string unsynced_path(const Digest& digest) { return in_state(digest.file_name() + ".unsynced"); }
std::string upload_path(const Digest& digest) { return in_state("upload-" + digest.hex() + ".json"); }
std::string keep_path(const Digest& digest) { return std::string(kKeepDir) + "/" + digest.file_name(); }
std::string manifest_path(const ModelName& name) { return std::string(kManifestsDir) + "/" + name.path(); }

std::string temporary_in(const std::string& folder) {
  std::random_device random;
  std::string path = folder + "/" + kTemporaryPrefix;
  for (int i = 0; i < 16; ++i) path += "0123456789abcdef"[random() & 0xF];
  return path + kTemporarySuffix;
}

std::string ollama_partial_path(const Digest& digest) { return in_blobs(digest, "-partial"); }
std::string ollama_part_path(const Digest& digest, unsigned number) {
  return ollama_partial_path(digest) + "-" + std::to_string(number);
}

}  // namespace pullama::store
