#pragma once
// The first and the last step of a pull on the disk. The first: its manifest as pending, so that whoever tidies knows
// what belongs to it, also after a restart. The last: the manifest, written when all blobs are there, under the lock
// that `rm`, `clean`, `cp` and `update` take too. Until then the blobs have a second name in keep/.

#include <optional>
#include <stop_token>
#include <vector>

#include "common/model_name.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/manifest/manifest.h"

namespace pullama::engine {

// Holds a blob that was there already while its manifest is not, in keep/.
Status keep_cached(StoreContext& store, const Digest& digest);

// Gives up the link in keep/ unless an unfinished pull needs it.
Status release_kept(StoreContext& store, const Digest& digest);

// The manifest that a run of this pull noted which did not come to its end.
std::optional<Digest> pending_manifest(StoreContext& store, const ModelName& name);

// Notes what the pull will need. Returns the blobs that an earlier run of it needed and this one does not.
Result<std::vector<Digest>> write_pending(StoreContext& store, const ModelName& name,
                                          const manifest::Manifest& manifest, std::stop_token stop);

// What a pull leaves behind when its manifest is in.
struct Leftover {
  bool prune = true;              // blobs that only the manifest named which is replaced
  std::vector<Digest> abandoned;  // by write_pending
};

// True: written and durable, keep/ released, and what nothing needs any more removed as far as that can be told. False:
// a blob has vanished and could not be brought back: fetch it again. The name is written as an existing manifest spells
// it.
Result<bool> write_manifest(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest,
                            const Leftover& leftover, std::stop_token stop);

// Where a run ended between the manifest and the tidying after it: what is left of that tidying.
Status tidy_interrupted(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest,
                        std::stop_token stop);

// True when exactly this manifest is installed and the ledger knows all its blobs as verified: nothing is to be done.
Result<bool> already_installed(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest);

}  // namespace pullama::engine
