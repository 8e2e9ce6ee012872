#pragma once
// What store.list, store.show and history.list answer, from what the store knows. Blocking: the storage thread.

#include <string>
#include <vector>

#include "common/model_name.h"
#include "daemon/stores.h"
#include "proto/results.h"

namespace pullama {

Result<proto::StoreList> list_reply(Stores& stores, const std::string& models_dir);
Result<proto::StoreShow> show_reply(Stores& stores, const std::string& models_dir, const ModelName& name);
proto::HistoryList history_reply(const std::vector<store::HistoryEntry>& entries);

}  // namespace pullama
