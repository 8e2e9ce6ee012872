#pragma once
// What the jobs that look after installed models do (upkeep.h runs them): verify, compare with the registry, update.
// Blocking; a thread of the job's own.

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "daemon/pull_transfers.h"
#include "daemon/stores.h"
#include "daemon/upkeep.h"
#include "proto/params.h"
#include "proto/results.h"

namespace pullama {

class Maintenance {
 public:
  // `remember`: any thread; a transfer that ended.
  using Remember = std::function<void(const store::HistoryEntry&)>;
  Maintenance(Stores& stores, PullTransfers& transfers, Remember remember)
      : stores_(stores), transfers_(transfers), remember_(std::move(remember)) {}

  // No models: all of the store. A store that we may not write is verified all the same, but not repaired.
  Result<UpkeepSummary> verify(const std::vector<ModelName>& models, bool repair, const proto::PullOptions& options,
                               const std::string& models_dir, UpkeepVoice& voice, const std::stop_token& stop);

  // Fetches manifests only. kNotFound where a named model is not installed.
  Result<proto::StoreOutdatedResult> outdated(const std::vector<ModelName>& models, const proto::PullOptions& options,
                                              const std::string& models_dir, const std::stop_token& stop);

  // Pulls what changed. No models: all that the registry still has. One that fails does not keep the others from being
  // updated; the error is then the first one's.
  Result<UpkeepSummary> update(const std::vector<ModelName>& models, const proto::PullOptions& options,
                               const std::string& models_dir, UpkeepVoice& voice, const std::stop_token& stop);

 private:
  struct Compared {
    ModelName name;
    proto::OutdatedModel shown;
    std::optional<engine::PullPlan> plan;
  };
  Result<std::vector<Compared>> compare(const std::vector<ModelName>& models, const proto::PullOptions& options,
                                        const std::string& models_dir, const std::stop_token& stop);
  void compare_one(Compared& compared, io::FileSystem& fs, const proto::PullOptions& options,
                   const std::stop_token& stop);
  Result<engine::PullSummary> pull_one(const Compared& compared, Store& store, const proto::PullOptions& options,
                                       UpkeepVoice& voice, const std::stop_token& stop);

  Stores& stores_;
  PullTransfers& transfers_;
  Remember remember_;
};

}  // namespace pullama
