#include "daemon/engine/blob_refs.h"

namespace pullama::engine {

std::vector<BlobRef> blob_refs(const manifest::Manifest& manifest) {
  std::vector<BlobRef> refs;
  const auto count = static_cast<unsigned>(manifest.blobs().size());
  for (const manifest::Blob& blob : manifest.blobs()) {
    refs.push_back({blob.digest, blob.size_bytes, static_cast<unsigned>(refs.size()) + 1, count});
  }
  return refs;
}

}  // namespace pullama::engine
