#pragma once
// What the methods of the store and history.list answer, from what the store knows and does. Blocking: the storage
// thread.

#include <string>
#include <vector>

#include "common/model_name.h"
#include "daemon/stores.h"
#include "proto/results.h"

namespace pullama {

Result<proto::StoreList> list_reply(Stores& stores, const std::string& models_dir);
Result<proto::StoreShow> show_reply(Stores& stores, const std::string& models_dir, const ModelName& name);

// Models of that store whose transfers are not over.
struct OpenJobs {
  std::vector<ModelName> busy;        // they run or are queued
  std::vector<ModelName> unfinished;  // they wait, failed or are paused
};
Result<proto::StoreRemoveResult> remove_reply(Stores& stores, const std::string& models_dir,
                                              const std::vector<ModelName>& names, const OpenJobs& open, bool dry_run);
Result<proto::StoreCopyResult> copy_reply(Stores& stores, const std::string& models_dir, const ModelName& source,
                                          const ModelName& destination);
struct CleanWishes {
  bool unfinished = false, unreferenced = false, dry_run = false;
};
Result<proto::StoreCleanResult> clean_reply(Stores& stores, const std::string& models_dir, const OpenJobs& open,
                                            const CleanWishes& wishes);

proto::HistoryList history_reply(const std::vector<store::HistoryEntry>& entries);

}  // namespace pullama
