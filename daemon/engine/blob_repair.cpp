#include "daemon/engine/blob_repair.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "common/size_text.h"
#include "daemon/engine/blob_download.h"
#include "daemon/engine/blob_hash.h"
#include "daemon/engine/blob_lanes.h"
#include "daemon/engine/checkpoint.h"
#include "daemon/engine/finalize.h"
#include "daemon/engine/registry_options.h"
#include "daemon/engine/space.h"
#include "daemon/io/atomic_write.h"
#include "daemon/io/os_error.h"
#include "daemon/store/in_use.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

constexpr std::uint64_t kChunksumsFromBytes = 64ULL << 20;
constexpr std::size_t kBlockBytes = 1 << 20;

// One part of the blob, and whether the damaged file has it right.
struct Part {
  std::uint64_t start = 0, end = 0;  // inclusive
  io::Xxh128 xxh3;                   // of what is on the disk
  bool good = false;
};

struct Parts {
  std::vector<Part> all;
  bool listed = false;  // by the registry's chunksums
};

class Repair {
 public:
  Repair(const EngineContext& engine, const StoreContext& store, const PullRequest& request, const Damage& damage,
         ProgressSink& sink, std::atomic<std::uint64_t>& retries)
      : engine_(engine),
        store_(store),
        request_(request),
        damage_(damage),
        sink_(sink),
        retries_(retries),
        job_rate_(engine.clock, request.rate_bytes_per_second),
        registry_(engine.http, engine.clock, engine.credentials, request.model.host(),
                  registry_options(request, sink)) {}

  Result<std::uint64_t> run(const std::stop_token& stop) {
    BlobContext context{engine_, store_, registry_, request_, job_rate_, 0, sink_, retries_, [](const BlobRef&) {}, {}};
    if (!damage_.missing) context.seed = [&](const BlobRef& blob) { return seed(blob, stop); };
    auto reservation = store_.space.open();
    if (auto room = reserve(reservation); !room) return fail(room.error());
    const auto outcome = run_blob_lanes(download_lanes(context, [](const BlobRef&) {}), {damage_.blob}, stop);
    if (!outcome) return fail(outcome.error());
    if (auto released = release_kept(store_, damage_.blob.digest); !released) return fail(released.error());
    return outcome->fetched_bytes;
  }

 private:
  Status reserve(SpaceReservations::Reservation& reservation) {
    const auto free = store_.fs.free_bytes(store::kBlobsDir);
    if (!free) return fail(free.error());
    const std::uint64_t size = damage_.blob.size_bytes;
    if (store_.space.try_claim(reservation, size, *free, request_.force)) return {};
    return fail(ErrorCode::kDiskFull,
                fmt::format("to repair {} takes {} beside it and a reserve of {}, and {} is free",
                            store_.fs.native_path(store::blob_path(damage_.blob.digest)), format_size(size),
                            format_size(kSpaceReserveBytes), format_size(*free)),
                "free some space or try `pullama clean`");
  }

  Status seed(const BlobRef& blob, const std::stop_token& stop) {
    // What a repair or a pull left half-done goes on by itself.
    if (store_.fs.stat(store::partial_path(blob.digest))) return {};
    const auto damaged = store_.fs.open(store::blob_path(blob.digest), io::OpenMode::kRead);
    if (!damaged) return io::is_missing(damaged.error()) ? Status() : fail(damaged.error());
    const auto parts = look_at_parts(**damaged, stop);
    if (!parts) return fail(parts.error());
    const auto is_good = [](const Part& part) { return part.good; };
    if (std::none_of(parts->all.begin(), parts->all.end(), is_good)) return {};
    // All right and yet the wrong digest: then nothing that we know of it can be trusted.
    if (std::all_of(parts->all.begin(), parts->all.end(), is_good)) return {};
    return copy_good(blob, **damaged, *parts, stop);
  }

  Result<Parts> look_at_parts(io::File& file, const std::stop_token& stop) {
    const std::uint64_t size = damage_.blob.size_bytes;
    Parts parts;
    if (!damage_.sums.empty() && covers(damage_.sums, size)) {
      const auto hash = hash_blob(
          file, size, damage_.sums, [](std::uint64_t) {}, stop);
      if (!hash) return fail(hash.error());
      for (std::size_t i = 0; i < damage_.sums.size(); ++i) {
        const store::ChunkSum& sum = damage_.sums[i];
        const bool there = i < hash->sums.size();
        parts.all.push_back({sum.start, sum.end, sum.xxh3, there && hash->sums[i].xxh3 == sum.xxh3});
      }
      return parts;
    }
    if (size < kChunksumsFromBytes) return parts;
    auto connection = registry_.connect();
    const auto chunksums = registry_.fetch_chunksums(*connection, request_.model, damage_.blob.digest, size, stop);
    if (!chunksums || !*chunksums) return parts;
    parts.listed = true;
    // A checkpoint holds no more parts than that: of a longer list several are one.
    const std::size_t together = (*chunksums)->size() / ChunkPlan::kMaxChunks + 1;
    for (auto rest = std::span<const registry::Chunksum>(**chunksums); !rest.empty();) {
      const auto taken = rest.first(std::min(together, rest.size()));
      rest = rest.subspan(taken.size());
      auto part = look_at(file, taken, stop);
      if (!part) return fail(part.error());
      parts.all.push_back(*part);
    }
    return parts;
  }

  Result<Part> look_at(io::File& file, std::span<const registry::Chunksum> sums, const std::stop_token& stop) {
    Part part{sums.front().range.first, sums.back().range.last, {}, true};
    io::Xxh3 xxh3;
    std::vector<std::byte> block(kBlockBytes);
    for (const registry::Chunksum& sum : sums) {
      io::Sha256 hash;
      for (std::uint64_t at = sum.range.first; at <= sum.range.last;) {
        if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while looking for what is damaged");
        const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), sum.range.last + 1 - at));
        const auto got = file.read_at(at, std::span(block).first(length));
        if (!got) return fail(got.error());
        const auto bytes = std::span<const std::byte>(block).first(*got);
        hash.update(bytes);
        xxh3.update(bytes);
        if (*got != length) break;
        at += length;
      }
      part.good = part.good && hash.digest() == sum.digest;
    }
    part.xxh3 = xxh3.digest();
    return part;
  }

  Status copy_good(const BlobRef& blob, io::File& damaged, const Parts& parts, const std::stop_token& stop) {
    const std::string path = store::partial_path(blob.digest);
    const auto partial = store_.fs.open(path, io::OpenMode::kCreateNew, 0644);
    if (!partial) return fail(partial.error());
    auto room = (*partial)->preallocate(blob.size_bytes);
    if (!room && room.error().code == ErrorCode::kUnsupported) room = (*partial)->truncate(blob.size_bytes);
    if (!room) return room;
    std::vector<std::byte> block(kBlockBytes);
    for (const Part& part : parts.all) {
      for (std::uint64_t at = part.start; part.good && at <= part.end;) {
        if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while copying what is right");
        const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), part.end + 1 - at));
        const auto bytes = std::span(block).first(length);
        const auto got = damaged.read_at(at, bytes);
        if (!got) return fail(got.error());
        if (auto written = (*partial)->write_at(at, bytes); !written) return written;
        at += length;
      }
    }
    if (auto synced = (*partial)->sync_all(); !synced) return synced;
    const auto stat = (*partial)->stat();
    if (!stat) return fail(stat.error());
    const std::string text =
        format_checkpoint(blob.digest, stat->inode, blob.size_bytes, 0, std::nullopt, plan_of(blob, parts));
    return io::atomic_write(store_.fs, store::checkpoint_path(blob.digest), text, 0600);
  }

  ChunkPlan plan_of(const BlobRef& blob, const Parts& parts) const {
    std::vector<ChunkPlan::Chunk> chunks;
    for (const Part& part : parts.all) {
      ChunkPlan::Chunk chunk;
      chunk.start = part.start;
      chunk.end = part.end + 1;
      if (part.good) {
        chunk.received = chunk.end - chunk.start;
        chunk.xxh3 = part.xxh3;
        chunk.checked = false;
      }
      chunks.push_back(std::move(chunk));
    }
    return ChunkPlan::restored(blob.size_bytes, request_.chunk_bytes, std::move(chunks), parts.listed);
  }

  EngineContext engine_;
  StoreContext store_;
  const PullRequest& request_;
  const Damage& damage_;
  ProgressSink& sink_;
  std::atomic<std::uint64_t>& retries_;
  RateLimit job_rate_;
  registry::Registry registry_;
};

}  // namespace

Result<std::uint64_t> repair_blob(const EngineContext& engine, const StoreContext& store, const PullRequest& how,
                                  const Damage& damage, ProgressSink& sink, std::atomic<std::uint64_t>& retries,
                                  const std::stop_token& stop) {
  store::InUse::Hold hold;
  if (store.in_use != nullptr) hold = store.in_use->hold({damage.blob.digest});
  Result<std::uint64_t> outcome = fail(ErrorCode::kNotFound, "no model names " + damage.blob.digest.str());
  for (const ModelName& model : damage.models) {
    PullRequest request = how;
    request.model = model;
    outcome = Repair(engine, store, request, damage, sink, retries).run(stop);
    if (outcome) return outcome;
    const ErrorCode code = outcome.error().code;
    if (code == ErrorCode::kCancelled || code == ErrorCode::kDiskFull || code == ErrorCode::kPermission) break;
  }
  return outcome;
}

}  // namespace pullama::engine
