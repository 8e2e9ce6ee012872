#pragma once
// Every method by name. The structs of params.h and results.h that belong to each are in the table of methods.cpp and,
// for the compiler, in the comment beside each constant.

#include <span>
#include <string_view>

namespace pullama::proto {

namespace method {
inline constexpr std::string_view kDaemonInfo = "daemon.info";                // NoParams → DaemonInfo
inline constexpr std::string_view kDaemonShutdown = "daemon.shutdown";        // ShutdownParams → NoResult
inline constexpr std::string_view kDaemonDoctor = "daemon.doctor";            // MaintenanceParams → StartResult
inline constexpr std::string_view kDaemonKey = "daemon.key";                  // KeyParams → KeyResult
inline constexpr std::string_view kPullStart = "pull.start";                  // StartParams → StartResult
inline constexpr std::string_view kPushStart = "push.start";                  // StartParams → StartResult
inline constexpr std::string_view kJobList = "job.list";                      // JobListParams → JobList
inline constexpr std::string_view kJobGet = "job.get";                        // JobParams → JobSnapshot
inline constexpr std::string_view kJobPause = "job.pause";                    // JobParams → JobStateResult
inline constexpr std::string_view kJobResume = "job.resume";                  // JobParams → JobStateResult
inline constexpr std::string_view kJobCancel = "job.cancel";                  // JobCancelParams → JobStateResult
inline constexpr std::string_view kQueueAdd = "queue.add";                    // QueueAddParams → QueueAddResult
inline constexpr std::string_view kQueueList = "queue.list";                  // NoParams → QueueView
inline constexpr std::string_view kQueueRemove = "queue.remove";              // QueueEntryParams → QueueView
inline constexpr std::string_view kQueueMove = "queue.move";                  // QueueMoveParams → QueueView
inline constexpr std::string_view kQueueRetry = "queue.retry";                // QueueRetryParams → QueueView
inline constexpr std::string_view kQueueClear = "queue.clear";                // NoParams → QueueView
inline constexpr std::string_view kQueueStart = "queue.start";                // NoParams → QueueView
inline constexpr std::string_view kQueueStop = "queue.stop";                  // QueueStopParams → QueueView
inline constexpr std::string_view kEventsSubscribe = "events.subscribe";      // SubscribeParams → SubscribeResult
inline constexpr std::string_view kEventsUnsubscribe = "events.unsubscribe";  // NoParams → NoResult
inline constexpr std::string_view kStoreList = "store.list";                  // StoreListParams → StoreList
inline constexpr std::string_view kStoreShow = "store.show";                  // StoreShowParams → StoreShow
inline constexpr std::string_view kStoreRemove = "store.remove";              // StoreRemoveParams → StoreRemoveResult
inline constexpr std::string_view kStoreCopy = "store.copy";                  // StoreCopyParams → StoreCopyResult
inline constexpr std::string_view kStoreClean = "store.clean";                // StoreCleanParams → StoreCleanResult
inline constexpr std::string_view kStoreOutdated = "store.outdated";  // StoreOutdatedParams → StoreOutdatedResult
inline constexpr std::string_view kStoreVerify = "store.verify";      // MaintenanceParams → StartResult
inline constexpr std::string_view kStoreUpdate = "store.update";      // MaintenanceParams → StartResult
inline constexpr std::string_view kLimitsGet = "limits.get";          // NoParams → Limits
inline constexpr std::string_view kLimitsSet = "limits.set";          // LimitsSetParams → Limits
inline constexpr std::string_view kHistoryList = "history.list";      // HistoryListParams → HistoryList
}  // namespace method

// All of them, in the order of PROTOCOL.md.
std::span<const std::string_view> all_methods();
bool is_method(std::string_view name);

}  // namespace pullama::proto
