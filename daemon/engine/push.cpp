#include "daemon/engine/push.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "daemon/engine/blob_lanes.h"
#include "daemon/engine/blob_refs.h"
#include "daemon/engine/blob_upload.h"
#include "daemon/engine/registry_options.h"
#include "daemon/engine/upload_retry.h"
#include "daemon/io/os_error.h"
#include "daemon/io/thread_start.h"
#include "daemon/store/blob_lock.h"
#include "daemon/store/in_use.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

using registry::Fault;

// A registry may say that it misses a blob which it said it had (its own tidying); this often is a defect.
constexpr unsigned kMaxRounds = 3;
// Blobs whose locks are held from the beginning; of more, the rest is locked when it is their turn.
constexpr std::size_t kLockedAtOnce = 128;
constexpr unsigned kLargeLanes = 2;

// Passes a stop on a while later.
class LateStop {
 public:
  explicit LateStop(std::stop_token stop) {
    auto started = io::start_thread([this](std::stop_token ended) { wait(ended); });
    if (started) thread_ = std::move(*started);
    forward_.emplace(std::move(stop), Wake{*this});
  }
  std::stop_token token() const { return late_.get_token(); }

 private:
  struct Wake {
    LateStop& self;
    void operator()() const {
      if (!self.thread_.joinable()) {  // none was to be had: at once, then
        self.late_.request_stop();
        return;
      }
      const std::lock_guard lock(self.mutex_);
      self.asked_ = true;
      self.changed_.notify_all();
    }
  };
  void wait(const std::stop_token& ended) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, ended, [this] { return asked_; })) return;
    changed_.wait_for(lock, ended, Push::kGrace, [] { return false; });
    lock.unlock();
    late_.request_stop();
  }

  std::mutex mutex_;  // guards asked_
  std::condition_variable_any changed_;
  bool asked_ = false;
  std::stop_source late_;
  std::jthread thread_;  // ends before what it uses
  std::optional<std::stop_callback<Wake>> forward_;
};

// Which other repositories of the same registry have a blob, by what is installed here.
class MountSources {
 public:
  MountSources(io::FileSystem& fs, const ModelName& model, const manifest::Manifest& manifest)
      : fs_(fs), model_(model), manifest_(manifest) {}

  std::vector<std::string> of(const Digest& digest) {
    std::call_once(once_, [this] { look(); });
    const auto known = sources_.find(digest);
    return known == sources_.end() ? std::vector<std::string>() : known->second;
  }

 private:
  void look() {
    for (const auto& layer : manifest_.layers()) {
      // Stored values are short names, paths or names of other hosts too: only a name at this very host may be used.
      const auto from = ModelName::parse(layer.from);
      if (from && from->host() == model_.host()) add(layer.digest, from->repository());
    }
    store::Manifests manifests(fs_);
    std::vector<Error> unreadable;
    const auto names = manifests.names(&unreadable);
    if (!names) return;  // without mounts everything works, too
    for (const ModelName& name : *names) {
      if (name.host() != model_.host() || name.repository() == model_.repository()) continue;
      const auto other = manifests.read(name);
      if (!other) continue;
      for (const auto& blob : other->blobs()) add(blob.digest, name.repository());
    }
  }
  void add(const Digest& digest, const std::string& repository) {
    if (repository == model_.repository()) return;
    auto& known = sources_[digest];
    if (std::find(known.begin(), known.end(), repository) == known.end()) known.push_back(repository);
  }

  io::FileSystem& fs_;
  const ModelName& model_;
  const manifest::Manifest& manifest_;
  std::once_flag once_;
  std::map<Digest, std::vector<std::string>> sources_;
};

Error of_fault(const Fault& fault, const ModelName& model) {
  if (fault.kind != Fault::Kind::kStopped) return fault.error;
  return {ErrorCode::kCancelled, "stopped while pushing " + model.display(), {}, 0};
}

}  // namespace

struct Push::Impl {
  Impl(EngineContext engine_context, StoreContext store_context, PushRequest push_request, ProgressSink& progress)
      : engine(std::move(engine_context)),
        store(store_context),
        request(std::move(push_request)),
        sink(progress),
        job_rate(engine.clock, request.rate_bytes_per_second),
        registry(engine.http, engine.clock, engine.credentials, request.model.host(), options()) {}

  registry::RegistryOptions options() {
    auto result = registry_options(request, sink);
    result.push = true;
    return result;
  }

  Result<manifest::Manifest> installed();
  Status lock_blobs(std::vector<BlobRef> blobs, const std::stop_token& stop);
  Status lock_blob(const BlobRef& blob, const std::stop_token& stop);
  Result<std::unique_ptr<registry::Uploads>> uploads();
  Result<LanesOutcome> send_blobs(UploadContext& context, const std::vector<BlobRef>& blobs, std::stop_token stop);
  Result<PullSummary> run(std::stop_token stop);
  Result<PullPlan> plan(std::stop_token stop);

  EngineContext engine;
  StoreContext store;
  PushRequest request;
  ProgressSink& sink;
  RateLimit job_rate;
  registry::Registry registry;
  std::atomic<std::uint64_t> retries{0};
  std::atomic<bool> redirects_parts{false};
  const std::uint64_t job = next_rate_job();
  std::mutex locks_mutex;  // guards locks
  std::map<Digest, store::BlobLock> locks;
};

// The model as it is spelled here, with all its blobs at their sizes.
Result<manifest::Manifest> Push::Impl::installed() {
  store::Manifests manifests(store.fs);
  auto spelled = manifests.existing_spelling(request.model);
  if (!spelled) return fail(spelled.error());
  auto manifest = manifests.read(*spelled);
  if (!manifest && io::is_missing(manifest.error())) {
    return fail(ErrorCode::kNotFound,
                fmt::format("the model {} is not in {}", request.model.display(), store.fs.native_path(".")),
                "`pullama list` shows what is there");
  }
  if (!manifest) return fail(manifest.error());
  request.model = *spelled;
  for (const auto& blob : manifest->blobs()) {
    const auto path = store::blob_path(blob.digest);
    const auto there = store.fs.stat(path);
    if (there && there->kind == io::FileStat::Kind::kFile && there->size_bytes == blob.size_bytes) continue;
    if (!there && !io::is_missing(there.error())) return fail(there.error());
    return fail(ErrorCode::kCorrupt,
                fmt::format("{} of {} is {}", store.fs.native_path(path), request.model.display(),
                            there ? "no file of the size that its manifest says" : "missing"),
                "pull the model again, which mends it");
  }
  return std::move(*manifest);
}

Status Push::Impl::lock_blob(const BlobRef& blob, const std::stop_token& stop) {
  {
    const std::lock_guard guard(locks_mutex);
    if (locks.contains(blob.digest)) return {};
  }
  auto lock = store::BlobLock::acquire(store.fs, engine.clock, blob.digest, stop,
                                       [&] { sink.report(BlobWaitingForLock{blob}); });
  if (!lock) return fail(lock.error());
  const std::lock_guard guard(locks_mutex);
  locks.emplace(blob.digest, std::move(*lock));
  return {};
}

// Everybody locks in the order of digests, so that two pushes never wait for each other.
Status Push::Impl::lock_blobs(std::vector<BlobRef> blobs, const std::stop_token& stop) {
  if (blobs.size() > kLockedAtOnce) {
    std::stable_sort(blobs.begin(), blobs.end(),
                     [](const BlobRef& a, const BlobRef& b) { return a.size_bytes > b.size_bytes; });
    blobs.erase(blobs.begin() + kLockedAtOnce, blobs.end());
  }
  std::sort(blobs.begin(), blobs.end(), [](const BlobRef& a, const BlobRef& b) { return a.digest < b.digest; });
  for (const BlobRef& blob : blobs) {
    if (auto locked = lock_blob(blob, stop); !locked) return locked;
  }
  return {};
}

Result<std::unique_ptr<registry::Uploads>> Push::Impl::uploads() {
  auto uploads = registry.uploads(request.model);
  if (uploads) return uploads;
  return fail(ErrorCode::kInvalidArgument, "'" + request.model.host() + "' is not a registry's host");
}

Result<LanesOutcome> Push::Impl::send_blobs(UploadContext& context, const std::vector<BlobRef>& blobs,
                                            std::stop_token stop) {
  const LanesWork work{engine.clock,
                       sink,
                       true,
                       kLargeLanes,
                       [&](const BlobRef& blob, BlobGauge& gauge, std::stop_token stop_blob) -> Result<std::uint64_t> {
                         if (auto locked = lock_blob(blob, stop_blob); !locked) return fail(locked.error());
                         auto outcome = BlobUpload(context, blob, gauge).run(std::move(stop_blob));
                         if (!outcome) return fail(outcome.error());
                         return outcome->saved_bytes;
                       },
                       [&](const BlobRef& blob) {
                         const std::lock_guard guard(locks_mutex);
                         locks.erase(blob.digest);
                       }};
  return run_blob_lanes(work, blobs, std::move(stop));
}

Result<PullSummary> Push::Impl::run(std::stop_token stop) {
  const auto manifest = installed();
  if (!manifest) return fail(manifest.error());
  const auto blobs = blob_refs(*manifest);
  sink.report(ManifestFetched{manifest->digest(), static_cast<unsigned>(blobs.size()), manifest->total_bytes(), blobs});
  const auto up = uploads();
  if (!up) return fail(up.error());
  if (auto made = store.fs.make_directories(store::kStateDir); !made) return fail(made.error());
  store::InUse::Hold in_use;
  if (store.in_use != nullptr) {
    std::vector<Digest> digests;
    digests.reserve(blobs.size());
    for (const BlobRef& blob : blobs) digests.push_back(blob.digest);
    in_use = store.in_use->hold(std::move(digests));
  }
  if (auto locked = lock_blobs(blobs, stop); !locked) return fail(locked.error());

  const LateStop late(stop);
  MountSources sources(store.fs, request.model, *manifest);
  UploadContext context{
      engine, store, registry, **up,         request,         job_rate,
      job,    sink,  retries,  late.token(), redirects_parts, [&](const Digest& digest) { return sources.of(digest); }};
  PullSummary summary{manifest->digest(), manifest->total_bytes(), 0, 0, static_cast<unsigned>(blobs.size()), 0};
  const auto connection = registry.connect();
  UploadRetry retry(context, std::nullopt);
  for (unsigned round = 0; round < kMaxRounds; ++round) {
    const auto sent = send_blobs(context, blobs, stop);
    if (!sent) return fail(sent.error());
    if (round == 0) summary.saved_bytes = sent->saved_bytes;
    summary.fetched_bytes += sent->fetched_bytes;
    auto accepted =
        retry.run([&] { return (*up)->put_manifest(*connection, request.model.tag(), *manifest, stop); }, stop);
    if (!accepted) return fail(of_fault(accepted.error(), request.model));
    if (!*accepted) continue;
    sink.report(ManifestWritten{manifest->digest()});
    summary.retries = retries;
    return summary;
  }
  return fail(ErrorCode::kNetwork,
              fmt::format("{} misses blobs of {} although it has taken them", (*up)->host(), request.model.display()),
              "the registry is damaged or tidies at the wrong moment; try again later");
}

Result<PullPlan> Push::Impl::plan(std::stop_token stop) {
  const auto manifest = installed();
  if (!manifest) return fail(manifest.error());
  const auto up = uploads();
  if (!up) return fail(up.error());
  UploadContext context{
      engine, store, registry, **up, request,         job_rate,
      job,    sink,  retries,  stop, redirects_parts, [](const Digest&) {
                          return std::vector<std::string>(); }};
  PullPlan plan{manifest->digest(), {}, manifest->total_bytes(), 0, 0, 0};
  const auto connection = registry.connect();
  for (const BlobRef& blob : blob_refs(*manifest)) {
    UploadRetry retry(context, blob);
    const auto there =
        retry.run([&] { return (*up)->has_blob(*connection, (*up)->repository(), blob.digest, stop); }, stop);
    if (!there) return fail(of_fault(there.error(), request.model));
    plan.blobs.push_back({blob.digest, blob.size_bytes, *there ? blob.size_bytes : 0});
    if (!*there) plan.travel_bytes += blob.size_bytes;
  }
  return plan;
}

Push::Push(EngineContext engine, StoreContext store, PushRequest request, ProgressSink& sink)
    : impl_(std::make_unique<Impl>(std::move(engine), store, std::move(request), sink)) {}
Push::~Push() = default;

Result<PullSummary> Push::run(std::stop_token stop) { return impl_->run(std::move(stop)); }
Result<PullPlan> Push::plan(std::stop_token stop) { return impl_->plan(std::move(stop)); }

}  // namespace pullama::engine
