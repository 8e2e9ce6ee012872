#pragma once
// Who needs a blob: the manifests that are installed, and the pulls that are not finished. What neither names, and no
// running transfer holds (in_use.h), may go. Blocking; meant to be asked under the lock on manifests/.

#include <string>
#include <unordered_set>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

using DigestSet = std::unordered_set<Digest>;

// Of all installed manifests but those of `except` (as they are spelled there). Fails, naming it, when one cannot be
// read or parsed: it may name anything.
Result<DigestSet> named_by_manifests(io::FileSystem& fs, const std::vector<ModelName>& except);

// A pull that has not written its manifest yet.
struct PendingPull {
  ModelName name;
  std::vector<Digest> blobs;
};
// All that are known, in no order; one whose file does not parse names no blobs. A folder that cannot be read fails.
Result<std::vector<PendingPull>> pending_pulls(io::FileSystem& fs);

// True where `names` has it, without regard to case.
bool is_among(const std::vector<ModelName>& names, const ModelName& name);

}  // namespace pullama::store
