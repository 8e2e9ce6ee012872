#pragma once
// What may go: partials, checkpoints, locks, links in keep/, what was set aside as damaged and temporaries, of nothing
// that is running or queued. Never a manifest, and a final blob only when asked for. Doing it twice is doing it once.
// Blocking; any thread but control.

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "common/model_name.h"
#include "common/result.h"
#include "daemon/store/removal.h"

namespace pullama::store {

struct CleanRequest {
  std::vector<ModelName> busy;        // models whose transfers run or are queued: theirs stays
  std::vector<ModelName> unfinished;  // whose transfers wait, failed or are paused
  bool take_unfinished = false;       // theirs goes too
  bool unreferenced = false;          // blobs that no manifest names and no transfer needs go too
  bool dry_run = false;               // only look; takes no lock
};

struct CleanedFile {
  std::string path;  // below the models dir
  // What its removal frees: 0 for a second name of a file that stays or that is counted under its other name.
  std::uint64_t size_bytes = 0;
};

struct Cleaning {
  std::vector<CleanedFile> removed;
  std::uint64_t freed_bytes = 0;
  // What stays only because of `unfinished`, and whose it is.
  std::uint64_t unfinished_bytes = 0;
  std::vector<std::string> unfinished_models;
};

// Fails, naming the path, at the first thing that cannot be read or removed; what was removed before is gone then. With
// `unreferenced`, fails before anything is removed when a manifest cannot be read or parsed.
Result<Cleaning> clean(const RemovalContext& context, const CleanRequest& request, std::stop_token stop);

}  // namespace pullama::store
