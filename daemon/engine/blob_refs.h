#pragma once
// A manifest's blobs as a job counts them. Pure.

#include <vector>

#include "daemon/engine/progress.h"
#include "daemon/manifest/manifest.h"

namespace pullama::engine {

// Each digest once: layers in manifest order, config last.
std::vector<BlobRef> blob_refs(const manifest::Manifest& manifest);

}  // namespace pullama::engine
