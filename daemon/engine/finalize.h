#pragma once
// The last step of a pull: the manifest, written when all blobs are there, under the lock that `rm`, `clean`, `cp` and
// `update` take too. Until then the blobs have a second name in keep/.

#include <stop_token>
#include <vector>

#include "common/model_name.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/manifest/manifest.h"

namespace pullama::engine {

// Holds a blob that was there already while its manifest is not, in keep/.
Status keep_cached(StoreContext& store, const Digest& digest);

// True: written and durable, keep/ released. False: a blob has vanished and could not be brought back: fetch it again.
// The name is written as an existing manifest spells it.
Result<bool> write_manifest(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest,
                            std::stop_token stop);

// True when exactly this manifest is installed and the ledger knows all its blobs as verified: nothing is to be done.
Result<bool> already_installed(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest);

}  // namespace pullama::engine
