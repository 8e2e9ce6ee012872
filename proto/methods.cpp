#include "proto/methods.h"

#include <algorithm>
#include <array>

namespace pullama::proto {
namespace {

constexpr std::array kMethods{
    method::kDaemonInfo,        method::kDaemonShutdown, method::kDaemonDoctor,  method::kDaemonKey,
    method::kPullStart,         method::kPushStart,      method::kJobList,       method::kJobGet,
    method::kJobPause,          method::kJobResume,      method::kJobCancel,     method::kQueueAdd,
    method::kQueueList,         method::kQueueRemove,    method::kQueueMove,     method::kQueueRetry,
    method::kQueueClear,        method::kQueueStart,     method::kQueueStop,     method::kEventsSubscribe,
    method::kEventsUnsubscribe, method::kStoreList,      method::kStoreShow,     method::kStoreRemove,
    method::kStoreCopy,         method::kStoreClean,     method::kStoreOutdated, method::kStoreVerify,
    method::kStoreUpdate,       method::kLimitsGet,      method::kLimitsSet,     method::kHistoryList,
};

}  // namespace

std::span<const std::string_view> all_methods() { return kMethods; }

bool is_method(std::string_view name) { return std::find(kMethods.begin(), kMethods.end(), name) != kMethods.end(); }

}  // namespace pullama::proto
