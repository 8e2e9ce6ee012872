#include "daemon/engine/transfer.h"

#include <algorithm>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/engine/front_hash.h"
#include "daemon/engine/resume_check.h"
#include "daemon/engine/unsynced_checkpoint.h"
#include "daemon/io/thread_start.h"

namespace pullama::engine {
namespace {

constexpr auto kTick = std::chrono::milliseconds(100);

// Notices a suspend: CLOCK_BOOTTIME went on while CLOCK_MONOTONIC stood still.
class SuspendWatch {
 public:
  explicit SuspendWatch(const io::Clock& clock) : clock_(clock), gap_(gap()) {}
  bool suspended() {
    const auto now = gap();
    const bool jumped = now - gap_ > std::chrono::seconds(2);
    gap_ = now;
    return jumped;
  }

 private:
  io::Clock::Duration gap() const { return clock_.since_boot() - clock_.now().time_since_epoch(); }
  const io::Clock& clock_;
  io::Clock::Duration gap_;
};

class Crew {
 public:
  Crew(ConnectionContext& context, const BlobRef& blob) : context_(context), blob_(blob) {}

  void add(unsigned count, const std::stop_token& stop) {
    for (unsigned i = 0; i < count; ++i) {
      const unsigned id = context_.state.enter();
      auto thread = io::start_thread([this, id, stop] {
        run_connection(context_, id, stop);
        context_.sink.report(ConnectionClosed{blob_, context_.state.connections(), "no more work for it"});
      });
      if (!thread) {  // asked for again at the next tick; without any there is nobody to wait for
        context_.state.leave(id);
        if (context_.state.connections() == 0) context_.state.fail_with(thread.error());
        return;
      }
      threads_.push_back(std::move(*thread));
      context_.sink.report(ConnectionOpened{blob_, context_.state.connections()});
    }
  }
  void join() { threads_.clear(); }

 private:
  ConnectionContext& context_;
  const BlobRef& blob_;
  std::vector<std::jthread> threads_;
};

}  // namespace

TransferResult Transfer::run(ChunkPlan plan, std::optional<io::Sha256::Midstate> front, unsigned restarts,
                             std::stop_token stop) {
  const bool resumed = plan.received_bytes() > 0;
  const auto connections = [&] {
    const bool open = parts_.connections == 0 && parts_.default_connections != nullptr;
    return open ? parts_.default_connections->load() : parts_.connections;
  };
  TransferState state(std::move(plan), front, connections(), parts_.clock);
  CheckpointWriter writer(parts_.fs, parts_.partial, parts_.lock, state, parts_.blob, restarts,
                          parts_.checkpoint_interval, parts_.sink);

  if (!parts_.source.ranges_supported()) state.expect_whole_body();
  Refusals refusals;
  std::stop_source stop_all;
  const std::stop_callback forward(stop, [&] { stop_all.request_stop(); });
  std::atomic<std::uint64_t> generation{0};
  ConnectionContext context{state,
                            parts_.partial.file(),
                            parts_.registry,
                            parts_.source,
                            parts_.clock,
                            parts_.rate_limit,
                            parts_.job_rate_limit,
                            parts_.job,
                            parts_.max_retries,
                            refusals,
                            parts_.sink,
                            parts_.blob,
                            [&] { parts_.retries.fetch_add(1); },
                            [&] { return generation.load(); }};
  const auto token = stop_all.get_token();
  Crew crew(context, parts_.blob);
  crew.add(state.missing_connections(), token);
  std::vector<std::jthread> helpers;
  const auto help = [&](auto work) {
    auto thread = io::start_thread(std::move(work));
    if (!thread) return state.fail_with(thread.error());
    helpers.push_back(std::move(*thread));
  };
  help([&] { run_front_hash(state, parts_.partial.file(), parts_.blob.digest, parts_.blob.size_bytes, token); });
  help([&] { writer.run(token); });
  if (resumed) help([&] { run_resume_check(state, parts_.partial.file(), parts_.blob, parts_.sink, token); });

  UnsyncedCheckpoint unsynced(parts_.fs, parts_.partial, state, parts_.blob, restarts, parts_.checkpoint_interval);
  bool unsynced_runs = false;
  SuspendWatch suspend(parts_.clock);
  const std::uint64_t travelled_before = parts_.gauge.travelled.load();
  const auto publish = [&] {
    parts_.gauge.bytes_done = state.received_bytes();
    parts_.gauge.travelled = travelled_before + state.travelled_bytes();
    parts_.gauge.connections = state.connections();
  };
  const auto tick = std::min(kTick, parts_.checkpoint_interval);
  while (!state.wait_for_end(tick, token)) {
    // Most blobs are small, and there before this.
    if (!std::exchange(unsynced_runs, true)) help([&] { unsynced.run(token); });
    publish();
    if (suspend.suspended()) generation.fetch_add(1);
    state.set_connections(connections());
    state.sample(parts_.rate_limit.rate() != 0 || parts_.job_rate_limit.rate() != 0);
    crew.add(state.missing_connections(), token);
  }
  stop_all.request_stop();
  crew.join();
  helpers.clear();
  publish();
  parts_.gauge.connections = 0;

  TransferResult result;
  result.end = state.ended();
  result.error = state.error();
  const bool disk_failed = result.end == TransferState::End::kFailed && result.error && result.error->os_error != 0;
  if (result.end != TransferState::End::kComplete && result.end != TransferState::End::kLockLost && !disk_failed) {
    if (auto saved = writer.save(); !saved && result.end == TransferState::End::kRunning) {
      result.end = TransferState::End::kFailed;
      result.error = saved.error();
    }
  }
  // Now the checkpoint has all of it, or the disk failed and nothing that is not synced is to be believed.
  if (result.end != TransferState::End::kComplete && result.end != TransferState::End::kLockLost) {
    remove_unsynced(parts_.fs, parts_.blob.digest);
  }
  result.plan = state.take_plan();
  return result;
}

}  // namespace pullama::engine
