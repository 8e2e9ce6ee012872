#include "daemon/engine/blob_download.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "daemon/engine/cached_blob.h"
#include "daemon/engine/unsynced_checkpoint.h"
#include "daemon/io/os_error.h"
#include "daemon/store/keep.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

constexpr std::uint64_t kChunksumsFromBytes = 64ULL << 20;
constexpr unsigned kMaxRestarts = 2;
constexpr unsigned kMaxRotRounds = 6;
// A lock can be lost to somebody who tidies; this often is a fight.
constexpr unsigned kMaxLockLosses = 50;
constexpr std::chrono::milliseconds kPoll{50};

}  // namespace

LanesWork download_lanes(BlobContext& context, std::function<void(const BlobRef&)> on_done) {
  return {context.engine.clock,
          context.sink,
          false,
          1,
          [&context](const BlobRef& blob, BlobGauge& gauge, std::stop_token stop) -> Result<std::uint64_t> {
            auto outcome = BlobDownload(context, blob, gauge).run(std::move(stop));
            if (!outcome) return fail(outcome.error());
            return outcome->saved_bytes;
          },
          std::move(on_done)};
}

BlobDownload::BlobDownload(BlobContext& context, BlobRef blob, BlobGauge& gauge)
    : context_(context), fs_(context.store.fs), blob_(blob), gauge_(gauge), began_(context.engine.clock.now()) {}

Result<BlobOutcome> BlobDownload::run(std::stop_token stop) {
  for (unsigned round = 0; round < kMaxLockLosses; ++round) {
    if (!context_.seed) {
      const auto there = look_for_blob(fs_, context_.store.ledger, blob_);
      if (!there) return fail(there.error());
      if (*there == Cached::kYes && !rest_of_download()) {
        store::BlobLock::remove_left(fs_, blob_.digest);  // of a kill after the rename
        outcome_.cached = !reported_start_;
        break;
      }
    }
    auto lock = store::BlobLock::acquire(fs_, context_.engine.clock, blob_.digest, stop,
                                         [&] { context_.sink.report(BlobWaitingForLock{blob_}); });
    if (!lock) return fail(lock.error());
    if (context_.seed && !std::exchange(seeded_, true)) {
      if (auto seeded = context_.seed(blob_); !seeded) return fail(seeded.error());
    }
    auto cached = context_.seed ? Result<bool>(false) : cached_under_lock(stop);
    if (!cached) return fail(cached.error());
    if (*cached) {
      outcome_.cached = !reported_start_;
      // Another program brought it meanwhile.
      if (auto dropped = drop_download(); !dropped) return fail(dropped.error());
      if (auto released = lock->release(); !released) return fail(released.error());
      break;
    }
    auto step = download(*lock, stop);
    if (!step) return fail(step.error());
    if (*step == Step::kDone) {
      gauge_.bytes_done = blob_.size_bytes;
      return outcome_;
    }
  }
  gauge_.bytes_done = blob_.size_bytes;
  if (outcome_.cached) context_.sink.report(BlobCached{blob_});
  return outcome_;
}

Result<bool> BlobDownload::cached_under_lock(std::stop_token stop) {
  const auto there = look_for_blob(fs_, context_.store.ledger, blob_);
  if (!there) return fail(there.error());
  if (*there != Cached::kUnknown) return *there == Cached::kYes;
  context_.sink.report(BlobVerifying{blob_});
  auto right = verify_blob(fs_, context_.store.ledger, blob_, stop);
  if (!right) return fail(right.error());
  if (!*right) {
    context_.sink.report(
        BlobRestarted{blob_, "the file on disk does not have its digest; it was set aside", 0, kMaxRestarts});
  }
  return *right;
}

Result<BlobDownload::Step> BlobDownload::download(store::BlobLock& lock, std::stop_token stop) {
  if (blob_.size_bytes == 0) {
    if (auto written = write_empty(); !written) return fail(written.error());
    if (auto released = lock.release(); !released) return fail(released.error());
    return Step::kDone;
  }
  auto start = find_start(fs_, blob_, context_.request.chunk_bytes, context_.sink, stop);
  if (!start && start.error().code == ErrorCode::kLocked) return wait_for_partial(stop);
  if (!start) return fail(start.error());
  restarts_ = std::max(restarts_, start->restarts);

  auto reserved = start->partial.reserve(blob_.size_bytes);
  if (!reserved && context_.request.force && reserved.error().code == ErrorCode::kDiskFull) {
    reserved = start->partial.file().truncate(blob_.size_bytes);
  }
  if (!reserved) return fail(reserved.error());
  context_.on_space_allocated(blob_);
  store::Keep keep(fs_);
  if (auto held = keep.hold(blob_.digest, store::partial_path(blob_.digest)); !held) return fail(held.error());
  // Before the first checkpoint, the names that it relies on are durable.
  if (auto synced = fs_.sync_directory(store::kBlobsDir); !synced) return fail(synced.error());
  if (auto synced = fs_.sync_directory(store::kKeepDir);
      !synced && !io::is_missing(synced.error()) && synced.error().code != ErrorCode::kPermission) {
    return fail(synced.error());
  }

  report_start(*start);
  ChunkPlan plan = plan_with_chunksums(std::move(start->plan), stop);
  const auto source = context_.registry.blob(context_.request.model, blob_.digest, blob_.size_bytes);
  while (true) {
    Transfer transfer({fs_, start->partial, lock, context_.registry, *source, context_.engine.clock,
                       context_.engine.rate_limit, context_.job_rate_limit, context_.job, context_.request.connections,
                       context_.engine.connections, context_.request.max_retries, context_.sink, blob_, gauge_,
                       context_.retries, context_.request.checkpoint_interval});
    auto step = after_transfer(transfer.run(std::move(plan), start->front, restarts_, stop), *start, lock);
    if (!step || *step == Step::kDone || !next_plan_) return step;
    plan = std::move(*std::exchange(next_plan_, std::nullopt));
    start->front.reset();
  }
}

ChunkPlan BlobDownload::plan_with_chunksums(ChunkPlan plan, std::stop_token stop) {
  // The checkpoint says that there is a list, and not what is in it: that may be longer than a checkpoint.
  const bool fresh = plan.received_bytes() == 0;
  if ((!fresh && !plan.listed()) || blob_.size_bytes < kChunksumsFromBytes) return plan;
  auto connection = context_.registry.connect();
  const auto chunksums = context_.registry.fetch_chunksums(*connection, context_.request.model, blob_.digest,
                                                           blob_.size_bytes, std::move(stop));
  if (!chunksums || !*chunksums) return plan;
  std::vector<ChunkPlan::Group> groups;
  for (const auto& sum : **chunksums) groups.push_back({sum.range.first, sum.range.last + 1, sum.digest, false, 0});
  if (fresh) return ChunkPlan::with_groups(blob_.size_bytes, std::move(groups), context_.request.chunk_bytes);
  plan.set_groups(std::move(groups));
  return plan;
}

void BlobDownload::report_start(const Start& start) {
  const std::uint64_t there = start.plan.received_bytes();
  outcome_.saved_bytes = there;
  gauge_.bytes_done = there;
  if (std::exchange(reported_start_, true) && there == 0) return;
  if (there > 0) {
    const auto& chunks = start.plan.chunks();
    const auto complete =
        std::count_if(chunks.begin(), chunks.end(), [](const auto& chunk) { return chunk.complete(); });
    context_.sink.report(BlobResumed{blob_, there, static_cast<std::uint64_t>(complete), chunks.size()});
  } else {
    context_.sink.report(BlobStarted{blob_});
  }
}

Result<BlobDownload::Step> BlobDownload::after_transfer(TransferResult result, Start& start, store::BlobLock& lock) {
  switch (result.end) {
    case TransferState::End::kRunning:
      return fail(ErrorCode::kCancelled, "stopped while downloading " + blob_.digest.str());
    case TransferState::End::kFailed:
      return fail(result.error ? *result.error : Error{});
    case TransferState::End::kLockLost:
      return Step::kAgain;
    case TransferState::End::kWrongDigest:
      return after_wrong_digest(result.plan, start);
    case TransferState::End::kComplete:
      break;
  }
  return finish(start, lock, result.plan);
}

Result<BlobDownload::Step> BlobDownload::after_wrong_digest(ChunkPlan& plan, Start& start) {
  // The disk first: what does not have the XXH3 of what was received rotted here.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rotten;
  std::vector<std::byte> block(256 << 10);
  for (const ChunkPlan::Chunk& chunk : plan.chunks()) {
    io::Xxh3 hash;
    for (std::uint64_t at = chunk.start; at < chunk.end;) {
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), chunk.end - at));
      const auto got = start.partial.file().read_at(at, std::span(block).first(length));
      if (!got || *got != length) break;
      hash.update(std::span<const std::byte>(block).first(length));
      at += length;
    }
    if (chunk.xxh3 && hash.digest() != *chunk.xxh3) rotten.emplace_back(chunk.start, chunk.end);
  }
  if (!rotten.empty() && rot_rounds_++ < kMaxRotRounds) {
    for (const auto& [begin, end] : rotten) {
      plan.discard(begin);
      context_.sink.report(ChunkMismatch{blob_, begin, end - 1, rot_rounds_, kMaxRotRounds});
    }
    next_plan_ = std::move(plan);
    return Step::kAgain;
  }
  if (rotten.empty() && plan.discard_adopted()) {
    context_.sink.report(BlobRestarted{
        blob_, "what was taken over from another program was wrong; only that is fetched again", 0, kMaxRestarts});
    next_plan_ = std::move(plan);
    return Step::kAgain;
  }
  ++restarts_;
  if (auto thrown = throw_away(); !thrown) return fail(thrown.error());
  if (restarts_ > kMaxRestarts) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("the registry sent data for {} that does not have this digest, {} times",
                            blob_.digest.str(), restarts_),
                "the registry or something on the way to it is damaged; try again later or from another network");
  }
  context_.sink.report(BlobRestarted{blob_, "the whole blob does not have its digest", restarts_, kMaxRestarts});
  return Step::kAgain;
}

// The lock file was removed and somebody else works on: what he leaves is taken over, from a look at the final file on.
Result<BlobDownload::Step> BlobDownload::wait_for_partial(const std::stop_token& stop) {
  context_.sink.report(BlobWaitingForLock{blob_});
  do {
    if (!context_.engine.clock.sleep_for(kPoll, stop)) {
      return fail(ErrorCode::kCancelled, "stopped while waiting for " + blob_.digest.str());
    }
  } while (PartialFile::held_by_another(fs_, blob_.digest));
  return Step::kAgain;
}

bool BlobDownload::rest_of_download() const {
  return fs_.stat(store::checkpoint_path(blob_.digest)) || fs_.stat(store::partial_path(blob_.digest));
}

Status BlobDownload::drop_download() {
  remove_unsynced(fs_, blob_.digest);
  for (const std::string& path : {store::checkpoint_path(blob_.digest), store::partial_path(blob_.digest)}) {
    if (auto removed = fs_.remove(path); !removed && !io::is_missing(removed.error())) return removed;
  }
  return {};
}

Status BlobDownload::throw_away() {
  if (auto dropped = drop_download(); !dropped) return dropped;
  return store::Keep(fs_).release(blob_.digest);
}

Result<BlobDownload::Step> BlobDownload::finish(Start& start, store::BlobLock& lock, const ChunkPlan& plan) {
  const auto ours = lock.still_ours();
  const auto file = start.partial.still_at_its_path();
  if (!ours || !*ours || !file || !*file) return Step::kAgain;
  context_.sink.report(
      BlobVerified{blob_, std::chrono::duration_cast<std::chrono::milliseconds>(context_.engine.clock.now() - began_)});
  if (auto set = start.partial.file().set_mode(0644); !set) return fail(set.error());
  if (auto synced = start.partial.file().sync_all(); !synced) {
    remove_unsynced(fs_, blob_.digest);  // it would vouch for pages that may be gone
    return fail(synced.error());
  }
  if (auto renamed = fs_.rename(store::partial_path(blob_.digest), store::blob_path(blob_.digest)); !renamed) {
    // Somebody tidied up since the look at it a moment ago.
    if (io::is_missing(renamed.error())) return Step::kAgain;
    return fail(renamed.error());
  }
  if (auto synced = fs_.sync_directory(store::kBlobsDir); !synced) return fail(synced.error());
  if (const auto stat = start.partial.file().stat()) {
    std::vector<store::ChunkSum> sums;
    for (const ChunkPlan::Chunk& chunk : plan.chunks()) {
      if (chunk.xxh3) sums.push_back({chunk.start, chunk.end - 1, *chunk.xxh3});
    }
    context_.store.ledger.record(blob_.digest, *stat, sums);
  }
  remove_unsynced(fs_, blob_.digest);
  if (auto removed = fs_.remove(store::checkpoint_path(blob_.digest)); !removed && !io::is_missing(removed.error())) {
    return fail(removed.error());
  }
  if (auto released = lock.release(); !released) return fail(released.error());
  context_.sink.report(BlobFinalized{blob_});
  return Step::kDone;
}

Status BlobDownload::write_empty() {
  if (io::sha256({}) != blob_.digest) {
    return fail(ErrorCode::kCorrupt,
                fmt::format("the manifest says that {} is empty, which it cannot be", blob_.digest.str()));
  }
  context_.sink.report(BlobStarted{blob_});
  const std::string path = store::partial_path(blob_.digest);
  auto file = fs_.open(path, io::OpenMode::kReadWriteCreate, 0644);
  if (!file) return fail(file.error());
  if (auto cut = (*file)->truncate(0); !cut) return cut;
  if (auto synced = (*file)->sync_all(); !synced) return synced;
  if (auto renamed = fs_.rename(path, store::blob_path(blob_.digest)); !renamed) return renamed;
  if (auto synced = fs_.sync_directory(store::kBlobsDir); !synced) return synced;
  if (const auto stat = (*file)->stat()) context_.store.ledger.record(blob_.digest, *stat, {});
  context_.sink.report(BlobVerified{blob_, std::chrono::milliseconds(0)});
  context_.sink.report(BlobFinalized{blob_});
  return {};
}

}  // namespace pullama::engine
