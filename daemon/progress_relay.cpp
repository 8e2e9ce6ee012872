#include "daemon/progress_relay.h"

#include <type_traits>

namespace pullama {
namespace {

bool is_trace(const engine::Report& report) {
  return std::visit(
      [](const auto& r) {
        using T = std::decay_t<decltype(r)>;
        return std::is_same_v<T, engine::RequestDone> || std::is_same_v<T, engine::ConnectionOpened> ||
               std::is_same_v<T, engine::ConnectionClosed> || std::is_same_v<T, engine::ChunkStarted> ||
               std::is_same_v<T, engine::ChunkVerified> || std::is_same_v<T, engine::CheckpointSaved>;
      },
      report);
}

}  // namespace

void ProgressRelay::report(const engine::Report& report) {
  {
    const std::lock_guard lock(mutex_);
    if (pending_.size() >= kMaxPendingTraces && is_trace(report)) return;
    // Only as far back as the last report that is no sample: a sample never overtakes a change of state.
    const auto* sample = std::get_if<engine::BlobProgress>(&report);
    bool replaced = false;
    if (sample != nullptr) {
      for (auto it = pending_.rbegin(); it != pending_.rend() && !replaced; ++it) {
        auto* older = std::get_if<engine::BlobProgress>(&*it);
        if (older == nullptr) break;
        if (older->blob.digest == sample->blob.digest) {
          *older = *sample;
          replaced = true;
        }
      }
    }
    if (!replaced) pending_.push_back(report);
    if (posted_) return;
    posted_ = true;
  }
  post_([self = weak_from_this()] {
    if (const auto relay = self.lock()) relay->flush();
  });
}

void ProgressRelay::flush() {
  std::vector<engine::Report> reports;
  {
    const std::lock_guard lock(mutex_);
    posted_ = false;
    reports.swap(pending_);
  }
  if (!reports.empty()) deliver_(std::move(reports));
}

}  // namespace pullama
