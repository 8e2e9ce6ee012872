#pragma once
// Removing models and the blobs that nothing needs any more, by registry-protocol.md 6.3: lock on manifests/, read the
// target, scan all others, abort whole if one of them cannot be parsed, delete only what nothing else names, prune
// empty folders. What a transfer uses stays: of this process by InUse, of another by its blob lock, of a pull that will
// go on by its pending manifest. Blocking; any thread but control.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "common/result.h"
#include "daemon/io/file_system.h"
#include "daemon/store/in_use.h"
#include "daemon/store/ledger.h"

namespace pullama::store {

struct RemovedBlob {
  Digest digest;
  std::uint64_t size_bytes = 0;  // of the file
};

struct Removal {
  std::vector<ModelName> models;  // as they were spelled
  std::vector<RemovedBlob> blobs;
  std::uint64_t freed_bytes = 0;
  std::uint64_t shared_blobs = 0;  // that stay: another model or a transfer needs them
};

// What removing touches besides the files. Null where there is none: a look at a store that is not ours.
struct RemovalContext {
  io::FileSystem& fs;
  Ledger* ledger = nullptr;
  InUse* in_use = nullptr;
};

// All or none: kNotFound where one is not there, kCorrupt and others naming the manifest of another model that cannot
// be read. A target whose own manifest does not parse is removed without blobs. `open`: models whose transfers will go
// on. A dry run changes nothing and takes no lock.
Result<Removal> remove_models(const RemovalContext& context, const std::vector<ModelName>& names,
                              const std::vector<ModelName>& open, bool dry_run, std::stop_token stop);

// Blobs that only a manifest named which is no longer there, as Ollama removes them after a pull that moved a tag, and
// what there is of unfinished ones. Fails, having removed nothing, where a manifest cannot be read; any unfinished pull
// keeps what it names. Precondition: the lock on manifests/ held.
Result<std::vector<RemovedBlob>> remove_unneeded(const RemovalContext& context, const std::vector<Digest>& candidates);

// One final blob with its second name in keep/, and what there is of an unfinished download of it; the blob's size,
// nullopt where it is not there, is held by a transfer or is locked by another process. Precondition: the lock on
// manifests/ held, and nothing names it.
Result<std::optional<std::uint64_t>> remove_blob(const RemovalContext& context, const Digest& digest);

}  // namespace pullama::store
