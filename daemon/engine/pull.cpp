#include "daemon/engine/pull.h"

#include <fmt/format.h>

#include <atomic>
#include <map>
#include <mutex>

#include "common/size_text.h"
#include "daemon/engine/adopt.h"
#include "daemon/engine/blob_download.h"
#include "daemon/engine/blob_lanes.h"
#include "daemon/engine/blob_refs.h"
#include "daemon/engine/cached_blob.h"
#include "daemon/engine/finalize.h"
#include "daemon/engine/manifest_fetch.h"
#include "daemon/engine/registry_options.h"
#include "daemon/engine/space.h"
#include "daemon/engine/writable.h"
#include "daemon/io/os_error.h"
#include "daemon/store/in_use.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

// A blob that vanishes between its end and the manifest is fetched again, this often.
constexpr unsigned kMaxVanished = 3;

std::vector<Digest> digests_of(const std::vector<BlobRef>& blobs) {
  std::vector<Digest> digests;
  digests.reserve(blobs.size());
  for (const BlobRef& blob : blobs) digests.push_back(blob.digest);
  return digests;
}

}  // namespace

struct Pull::Impl {
  Impl(EngineContext engine_context, StoreContext store_context, PullRequest pull_request, ProgressSink& progress)
      : engine(std::move(engine_context)),
        store(store_context),
        request(std::move(pull_request)),
        sink(progress),
        job_rate(engine.clock, request.rate_bytes_per_second),
        registry(engine.http, engine.clock, engine.credentials, request.model.host(), registry_options(request, sink)) {
  }

  Result<PullSummary> run(std::stop_token stop);
  Result<PullSummary> pull(const manifest::Manifest& fetched, const std::stop_token& stop);
  Result<PullPlan> plan(std::stop_token stop);
  Status reserve_space(const std::vector<BlobRef>& blobs, SpaceReservations::Reservation& reservation);
  void space_allocated(const BlobRef& blob, SpaceReservations::Reservation& reservation);
  std::uint64_t still_to_allocate(const BlobRef& blob);
  Status hold_cached(const std::vector<BlobRef>& blobs);
  Status spell_as_installed();

  EngineContext engine;
  StoreContext store;
  PullRequest request;
  ProgressSink& sink;
  RateLimit job_rate;
  registry::Registry registry;
  std::atomic<std::uint64_t> retries{0};
  const std::uint64_t job = next_rate_job();
  std::mutex space_mutex;  // guards the two below
  std::map<Digest, std::uint64_t> to_allocate;
  std::uint64_t to_allocate_bytes = 0;  // of all of them
};

std::uint64_t Pull::Impl::still_to_allocate(const BlobRef& blob) {
  const auto there = store.fs.stat(store::blob_path(blob.digest));
  if (there && there->size_bytes == blob.size_bytes) return 0;
  for (const std::string& path :
       {store::partial_path(blob.digest), store::keep_path(blob.digest), store::ollama_partial_path(blob.digest)}) {
    const auto partial = store.fs.stat(path);
    if (partial && partial->kind == io::FileStat::Kind::kFile) {
      return blob.size_bytes - std::min(blob.size_bytes, partial->allocated_bytes);
    }
  }
  return blob.size_bytes;
}

// Nothing names them yet: an Ollama server that starts now would take them for forgotten. One that is gone again
// already is noticed when its turn comes.
Status Pull::Impl::hold_cached(const std::vector<BlobRef>& blobs) {
  for (const BlobRef& blob : blobs) {
    const auto there = store.fs.stat(store::blob_path(blob.digest));
    if (!there || there->kind != io::FileStat::Kind::kFile || there->size_bytes != blob.size_bytes) continue;
    if (auto kept = keep_cached(store, blob.digest); !kept && !io::is_missing(kept.error())) return kept;
  }
  return {};
}

Status Pull::Impl::reserve_space(const std::vector<BlobRef>& blobs, SpaceReservations::Reservation& reservation) {
  const std::lock_guard lock(space_mutex);
  to_allocate.clear();
  std::uint64_t needed = 0;
  for (const BlobRef& blob : blobs) {
    const std::uint64_t bytes = still_to_allocate(blob);
    to_allocate[blob.digest] = bytes;
    needed += bytes;
  }
  to_allocate_bytes = needed;
  const auto free = store.fs.free_bytes(store::kBlobsDir);
  if (!free) return fail(free.error());
  if (store.space.try_claim(reservation, needed, *free, request.force)) return {};
  const std::uint64_t others = store.space.claimed_by_others(reservation);
  std::string message = fmt::format(
      "{} needs {} on the disk of {} beside a reserve of {}, and {} is free", request.model.display(),
      format_size(needed), store.fs.native_path(store::kBlobsDir), format_size(kSpaceReserveBytes), format_size(*free));
  if (others > 0) message += fmt::format(", of which other downloads need {}", format_size(others));
  return fail(ErrorCode::kDiskFull, std::move(message),
              "free some space or try `pullama clean`; --force starts in any case");
}

// Only the one blob is looked at: a model may have thousands.
void Pull::Impl::space_allocated(const BlobRef& blob, SpaceReservations::Reservation& reservation) {
  const std::uint64_t left = still_to_allocate(blob);
  const std::lock_guard lock(space_mutex);
  auto& bytes = to_allocate[blob.digest];
  to_allocate_bytes = to_allocate_bytes - bytes + left;
  bytes = left;
  reservation.set(to_allocate_bytes);
}

// A registry may tell cases apart: it is asked for the name that it gave us.
Status Pull::Impl::spell_as_installed() {
  auto spelled = store::Manifests(store.fs).existing_spelling(request.model);
  if (!spelled) return fail(spelled.error());
  request.model = std::move(*spelled);
  return {};
}

Result<PullSummary> Pull::Impl::run(std::stop_token stop) {
  if (auto spelled = spell_as_installed(); !spelled) return fail(spelled.error());
  sink.report(ManifestFetching{});
  auto manifest = fetch_manifest(registry, request.model, engine.clock, request.max_retries, sink, retries, stop);
  if (!manifest) return fail(manifest.error());
  auto done = pull(*manifest, stop);
  // Another place's manifest may do. Each round rules a mirror out.
  while (!done && registry.was_misled() && !stop.stop_requested()) {
    auto other = registry.fetch_manifest(*registry.connect(), request.model, stop);
    if (!other || other->digest() == manifest->digest()) break;
    manifest = std::move(*other);
    done = pull(*manifest, stop);
  }
  return done;
}

Result<PullSummary> Pull::Impl::pull(const manifest::Manifest& fetched, const std::stop_token& stop) {
  const auto* const manifest = &fetched;
  // What lies on the disk is of that one, whichever job or command it was.
  auto before = pending_manifest(store, request.model);
  if (!before) before = request.manifest_before;
  if (before && *before != manifest->digest()) sink.report(ManifestChanged{*before, manifest->digest()});
  const std::vector<BlobRef> blobs = blob_refs(*manifest);
  sink.report(ManifestFetched{manifest->digest(), static_cast<unsigned>(blobs.size()), manifest->total_bytes(), blobs});

  PullSummary summary{manifest->digest(), manifest->total_bytes(), 0, 0, static_cast<unsigned>(blobs.size()), 0};

  const auto installed = already_installed(store, request.model, *manifest);
  if (installed && *installed) {
    for (const BlobRef& blob : blobs) sink.report(BlobCached{blob});
    // In a store that may only be read it stays, and the model is there all the same.
    static_cast<void>(tidy_interrupted(store, request.model, *manifest, stop));
    return summary;
  }
  store::InUse::Hold in_use;
  if (store.in_use != nullptr) in_use = store.in_use->hold(digests_of(blobs));
  const auto path = store::Manifests(store.fs).path_of(request.model);
  if (auto writable = try_writing(store.fs, path); !writable) return fail(writable.error());
  auto abandoned = write_pending(store, request.model, *manifest, stop);
  // The look at the free space below says more about a full disk.
  if (!abandoned && abandoned.error().code != ErrorCode::kDiskFull) return fail(abandoned.error());
  const Leftover leftover{request.prune, abandoned ? *abandoned : std::vector<Digest>()};
  if (auto held = hold_cached(blobs); !held) return fail(held.error());
  auto reservation = store.space.open();
  if (auto reserved = reserve_space(blobs, reservation); !reserved) return fail(reserved.error());

  BlobContext context{engine,  store,    registry,
                      request, job_rate, job,
                      sink,    retries,  [&](const BlobRef& blob) { space_allocated(blob, reservation); }};
  std::mutex kept_mutex;
  std::optional<Error> keep_error;
  for (unsigned round = 0; round < kMaxVanished; ++round) {
    const auto work = download_lanes(context, [&](const BlobRef& blob) {
      // Where a file system allocates nothing in advance, it is only now.
      space_allocated(blob, reservation);
      // Nothing names it yet: an Ollama server that starts now would take it for forgotten.
      // One that is gone again already is noticed before the manifest is written.
      if (auto kept = keep_cached(store, blob.digest); !kept && !io::is_missing(kept.error())) {
        const std::lock_guard lock(kept_mutex);
        keep_error = kept.error();
      }
    });
    const auto lanes = run_blob_lanes(work, blobs, stop);
    if (!lanes) return fail(lanes.error());
    if (keep_error) return fail(*keep_error);
    if (round == 0) summary.saved_bytes = lanes->saved_bytes;
    summary.fetched_bytes += lanes->fetched_bytes;
    const auto written = write_manifest(store, request.model, *manifest, leftover, stop);
    if (!written) return fail(written.error());
    if (*written) {
      sink.report(ManifestWritten{manifest->digest()});
      summary.retries = retries;
      return summary;
    }
  }
  return fail(ErrorCode::kInternal,
              fmt::format("blobs of {} vanish from {} as soon as they are there", request.model.display(),
                          store.fs.native_path(store::kBlobsDir)),
              "see which other program tidies there");
}

Result<PullPlan> Pull::Impl::plan(std::stop_token stop) {
  if (auto spelled = spell_as_installed(); !spelled) return fail(spelled.error());
  auto manifest = fetch_manifest(registry, request.model, engine.clock, request.max_retries, sink, retries, stop);
  if (!manifest) return fail(manifest.error());
  PullPlan plan{manifest->digest(), {}, manifest->total_bytes(), 0, 0, 0};
  for (const BlobRef& blob : blob_refs(*manifest)) {
    PullPlan::Item item{blob.digest, blob.size_bytes, 0};
    const auto there = store.fs.stat(store::blob_path(blob.digest));
    if (there && there->kind == io::FileStat::Kind::kFile && there->size_bytes == blob.size_bytes) {
      item.present_bytes = blob.size_bytes;
    } else if (!there && kept_finished(store.fs, blob)) {
      item.present_bytes = blob.size_bytes;
    } else {
      item.present_bytes = present_bytes(store.fs, blob, request.chunk_bytes);
    }
    plan.travel_bytes += item.size_bytes - item.present_bytes;
    plan.needed_bytes += still_to_allocate(blob);
    plan.blobs.push_back(item);
  }
  if (plan.needed_bytes > 0) plan.needed_bytes += kSpaceReserveBytes;
  auto free = store.fs.free_bytes(store::kBlobsDir);
  if (!free && io::is_missing(free.error())) free = store.fs.free_bytes(".");
  if (!free) return fail(free.error());
  plan.free_bytes = *free;
  return plan;
}

Pull::Pull(EngineContext engine, StoreContext store, PullRequest request, ProgressSink& sink)
    : impl_(std::make_unique<Impl>(std::move(engine), store, std::move(request), sink)) {}
Pull::~Pull() = default;

Result<PullSummary> Pull::run(std::stop_token stop) { return impl_->run(std::move(stop)); }
Result<PullPlan> Pull::plan(std::stop_token stop) { return impl_->plan(std::move(stop)); }
void Pull::set_rate(std::uint64_t bytes_per_second) { impl_->job_rate.set_rate(bytes_per_second); }

}  // namespace pullama::engine
