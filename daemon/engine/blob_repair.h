#pragma once
// Puts a blob right whose file is damaged: what is good of it is copied into a partial with a checkpoint, and the
// ordinary download fetches the rest, verifies the whole and renames it over the damaged file. Which parts are good is
// told by the ledger's XXH3, else by the registry's chunksums; where neither knows, the whole blob is fetched.

#include <atomic>
#include <stop_token>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"
#include "daemon/engine/progress.h"
#include "daemon/engine/pull.h"
#include "daemon/store/ledger.h"

namespace pullama::engine {

struct Damage {
  BlobRef blob;
  std::vector<ModelName> models;        // that name it: it is fetched from the first whose registry has it
  bool missing = false;                 // there is no file at all
  std::vector<store::ChunkSum> sums{};  // of the ledger; empty where it knows none
};

// Bytes that travelled. The damaged file stays where it is until the right one takes its place. Errors: of the last
// registry that was asked, the disk's, kCancelled.
Result<std::uint64_t> repair_blob(const EngineContext& engine, const StoreContext& store, const PullRequest& how,
                                  const Damage& damage, ProgressSink& sink, std::atomic<std::uint64_t>& retries,
                                  const std::stop_token& stop);

}  // namespace pullama::engine
