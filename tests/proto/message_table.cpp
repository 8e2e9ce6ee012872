#include "tests/proto/message_table.h"

#include "proto/events.h"
#include "proto/message.h"
#include "proto/methods.h"
#include "proto/params.h"
#include "proto/results.h"

namespace pullama::proto::test {
namespace {

template <class T>
Result<std::string> round_trip(std::string_view json) {
  Result<T> message = read<T>(json);
  if (!message) return fail(message.error());
  return write(*message);
}

}  // namespace

const std::vector<MethodRow>& method_rows() {
  static const std::vector<MethodRow> rows{
      {method::kDaemonInfo, round_trip<NoParams>, round_trip<DaemonInfo>},
      {method::kDaemonShutdown, round_trip<ShutdownParams>, round_trip<NoResult>},
      {method::kDaemonDoctor, round_trip<MaintenanceParams>, round_trip<StartResult>},
      {method::kDaemonKey, round_trip<KeyParams>, round_trip<KeyResult>},
      {method::kPullStart, round_trip<StartParams>, round_trip<StartResult>},
      {method::kPushStart, round_trip<StartParams>, round_trip<StartResult>},
      {method::kJobList, round_trip<JobListParams>, round_trip<JobList>},
      {method::kJobGet, round_trip<JobParams>, round_trip<JobSnapshot>},
      {method::kJobPause, round_trip<JobParams>, round_trip<JobStateResult>},
      {method::kJobResume, round_trip<JobParams>, round_trip<JobStateResult>},
      {method::kJobCancel, round_trip<JobCancelParams>, round_trip<JobStateResult>},
      {method::kQueueAdd, round_trip<QueueAddParams>, round_trip<QueueAddResult>},
      {method::kQueueList, round_trip<NoParams>, round_trip<QueueView>},
      {method::kQueueRemove, round_trip<QueueEntryParams>, round_trip<QueueView>},
      {method::kQueueMove, round_trip<QueueMoveParams>, round_trip<QueueView>},
      {method::kQueueRetry, round_trip<QueueRetryParams>, round_trip<QueueView>},
      {method::kQueueClear, round_trip<NoParams>, round_trip<QueueView>},
      {method::kQueueStart, round_trip<NoParams>, round_trip<QueueView>},
      {method::kQueueStop, round_trip<QueueStopParams>, round_trip<QueueView>},
      {method::kEventsSubscribe, round_trip<SubscribeParams>, round_trip<SubscribeResult>},
      {method::kEventsUnsubscribe, round_trip<NoParams>, round_trip<NoResult>},
      {method::kStoreList, round_trip<StoreListParams>, round_trip<StoreList>},
      {method::kStoreShow, round_trip<StoreShowParams>, round_trip<StoreShow>},
      {method::kStoreRemove, round_trip<StoreRemoveParams>, round_trip<StoreRemoveResult>},
      {method::kStoreCopy, round_trip<StoreCopyParams>, round_trip<StoreCopyResult>},
      {method::kStoreClean, round_trip<StoreCleanParams>, round_trip<StoreCleanResult>},
      {method::kStoreOutdated, round_trip<StoreOutdatedParams>, round_trip<StoreOutdatedResult>},
      {method::kStoreVerify, round_trip<MaintenanceParams>, round_trip<StartResult>},
      {method::kStoreUpdate, round_trip<MaintenanceParams>, round_trip<StartResult>},
      {method::kLimitsGet, round_trip<NoParams>, round_trip<Limits>},
      {method::kLimitsSet, round_trip<LimitsSetParams>, round_trip<Limits>},
      {method::kHistoryList, round_trip<HistoryListParams>, round_trip<HistoryList>},
  };
  return rows;
}

const MethodRow* find_method(std::string_view name) {
  for (const MethodRow& row : method_rows()) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

Result<std::string> event_round_trip(std::string_view json) { return round_trip<Event>(json); }

}  // namespace pullama::proto::test
