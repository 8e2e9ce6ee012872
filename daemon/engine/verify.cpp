#include "daemon/engine/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "common/size_text.h"
#include "daemon/engine/blob_hash.h"
#include "daemon/engine/blob_repair.h"
#include "daemon/engine/speed_meter.h"
#include "daemon/io/os_error.h"
#include "daemon/io/thread_start.h"
#include "daemon/store/in_use.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/needed.h"

namespace pullama::engine {
namespace {

constexpr auto kReportEvery = std::chrono::milliseconds(100);
constexpr unsigned kMostThreads = 64;

// One blob that a manifest names.
struct Item {
  explicit Item(const BlobRef& ref) : blob(ref) {}
  BlobRef blob;
  std::vector<ModelName> models;
  std::optional<Finding> finding;
  std::vector<store::ChunkSum> sums;  // of the ledger, of one that is damaged
  std::atomic<std::uint64_t> done{0};
  std::atomic<bool> active{false};
};

// Verification of a model whose manifest is fetched anew is no pull that anybody watches: only what is about blobs is
// passed on.
class BlobReports final : public ProgressSink {
 public:
  explicit BlobReports(ProgressSink& sink) : sink_(sink) {}
  void report(const Report& report) override {
    if (std::holds_alternative<ManifestFetching>(report) || std::holds_alternative<ManifestFetched>(report)) return;
    if (std::holds_alternative<BlobCached>(report)) return;
    sink_.report(report);
  }

 private:
  ProgressSink& sink_;
};

std::vector<std::string> display(const std::vector<ModelName>& names) {
  std::vector<std::string> texts;
  texts.reserve(names.size());
  for (const ModelName& name : names) texts.push_back(name.display());
  return texts;
}

class Verification {
 public:
  Verification(const EngineContext& engine, const StoreContext& store, const VerifyRequest& request, ProgressSink& sink)
      : engine_(engine), store_(store), request_(request), sink_(sink), manifests_(store.fs) {}

  Result<VerifySummary> run(const std::stop_token& stop) {
    if (auto read = read_manifests(); !read) return fail(read.error());
    look();
    if (auto hashed = hash(stop); !hashed) return fail(hashed.error());
    if (auto mended = finish_blobs(stop); !mended) return fail(mended.error());
    if (auto mended = finish_manifests(stop); !mended) return fail(mended.error());
    if (request_.models.empty()) {
      if (auto found = find_unreferenced(); !found) return fail(found.error());
    }
    summary_.retries = retries_;
    return summary_;
  }

 private:
  Result<std::vector<ModelName>> chosen() {
    if (request_.models.empty()) return manifests_.names(&unreadable_);
    std::vector<ModelName> names;
    for (const ModelName& wanted : request_.models) {
      const auto name = manifests_.existing_spelling(wanted);
      if (!name) return fail(name.error());
      if (!store_.fs.stat(manifests_.path_of(*name))) {
        return fail(ErrorCode::kNotFound,
                    fmt::format("the model {} is not in {}", wanted.display(), store_.fs.native_path(".")),
                    "`pullama list` shows what is there");
      }
      if (std::find(names.begin(), names.end(), *name) == names.end()) names.push_back(*name);
    }
    return names;
  }

  Status read_manifests() {
    auto names = chosen();
    if (!names) return fail(names.error());
    std::sort(names->begin(), names->end());
    std::map<Digest, std::size_t> index;
    for (const ModelName& name : *names) {
      const auto read = manifests_.read(name);
      if (!read && io::is_missing(read.error())) continue;  // removed since
      if (!read) {
        broken_.emplace_back(
            name, Finding{Finding::Kind::kBrokenManifest, std::nullopt, {name.display()}, read.error().message, false});
        continue;
      }
      for (const manifest::Blob& blob : read->blobs()) {
        const auto [at, is_new] = index.emplace(blob.digest, items_.size());
        if (is_new) items_.push_back(std::make_unique<Item>(BlobRef{blob.digest, blob.size_bytes, 0, 0}));
        Item& item = *items_[at->second];
        if (item.blob.size_bytes != blob.size_bytes) {
          note_other_size(item, blob.size_bytes, name);
        } else {
          item.models.push_back(name);
        }
      }
    }
    return {};
  }

  // Two manifests state two sizes of one blob. Only one can be right, and fetching it again would not help the other:
  // that is said of the other one, and what the file has is the size to go on with.
  void note_other_size(Item& item, std::uint64_t size_bytes, const ModelName& name) {
    std::vector<ModelName> wrong{name};
    const auto stat = store_.fs.stat(store::blob_path(item.blob.digest));
    if (stat && stat->size_bytes == size_bytes) {
      std::swap(wrong, item.models);
      std::swap(size_bytes, item.blob.size_bytes);
    }
    other_sizes_.push_back(
        Finding{Finding::Kind::kWrongSize, item.blob.digest, display(wrong),
                fmt::format("the manifest states {} bytes for {}, other models {}", size_bytes,
                            store_.fs.native_path(store::blob_path(item.blob.digest)), item.blob.size_bytes),
                false});
  }

  // What can be told without reading.
  void look() {
    for (const auto& item : items_) {
      const std::string path = store::blob_path(item->blob.digest);
      const auto stat = store_.fs.stat(path);
      const auto found = [&](Finding::Kind kind, const std::string& what) {
        item->finding =
            Finding{kind, item->blob.digest, display(item->models), store_.fs.native_path(path) + " " + what, false};
      };
      if (!stat && io::is_missing(stat.error())) {
        found(Finding::Kind::kMissing, "is missing");
      } else if (!stat) {
        found(Finding::Kind::kDamaged, "cannot be looked at: " + stat.error().message);
      } else if (stat->kind != io::FileStat::Kind::kFile) {
        found(Finding::Kind::kDamaged, "is no regular file");
      } else if (stat->size_bytes != item->blob.size_bytes) {
        found(Finding::Kind::kWrongSize,
              fmt::format("has {} bytes instead of {}", stat->size_bytes, item->blob.size_bytes));
        item->sums = store_.ledger.chunks(item->blob.digest);
      }
    }
  }

  Status hash(const std::stop_token& stop) {
    std::vector<BlobRef> blobs;
    for (const auto& item : items_) {
      if (item->finding) continue;
      to_hash_.push_back(item.get());
      total_ += item->blob.size_bytes;
      item->blob.index = static_cast<unsigned>(to_hash_.size());
    }
    for (Item* item : to_hash_) {
      item->blob.count = static_cast<unsigned>(to_hash_.size());
      blobs.push_back(item->blob);
    }
    summary_.blob_count = static_cast<unsigned>(to_hash_.size());
    if (request_.on_plan) request_.on_plan(blobs, total_);
    // The largest first, so that no core is left alone with it at the end.
    std::stable_sort(to_hash_.begin(), to_hash_.end(),
                     [](const Item* a, const Item* b) { return a->blob.size_bytes > b->blob.size_bytes; });
    unsigned threads = request_.threads != 0 ? request_.threads : std::thread::hardware_concurrency();
    threads = std::clamp(threads, 1U, kMostThreads);
    threads = static_cast<unsigned>(std::min<std::size_t>(threads, to_hash_.size()));
    {
      std::vector<std::jthread> workers;
      std::unique_lock lock(mutex_);
      while (running_ < threads) {
        auto worker = io::start_thread([this, stop] { work(stop); });
        if (!worker && running_ == 0) return fail(worker.error());
        if (!worker) break;  // fewer do
        workers.push_back(std::move(*worker));
        ++running_;
      }
      while (!changed_.wait_for(lock, kReportEvery, [&] { return running_ == 0; })) {
        lock.unlock();
        report_progress();
        lock.lock();
      }
    }
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while verifying");
    report_progress();
    summary_.hashed_bytes = hashed_;
    return {};
  }

  void work(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const std::size_t number = next_.fetch_add(1);
      if (number >= to_hash_.size()) break;
      Item& item = *to_hash_[number];
      item.active = true;
      sink_.report(BlobVerifying{item.blob});
      const auto began = engine_.clock.now();
      hash_item(item, stop);
      item.active = false;
      if (!item.finding && !stop.stop_requested()) {
        sink_.report(BlobVerified{item.blob,
                                  std::chrono::duration_cast<std::chrono::milliseconds>(engine_.clock.now() - began)});
      }
    }
    const std::lock_guard lock(mutex_);
    --running_;
    changed_.notify_all();
  }

  void hash_item(Item& item, const std::stop_token& stop) {
    const Digest& digest = item.blob.digest;
    const std::string path = store::blob_path(digest);
    const auto damaged = [&](Finding::Kind kind, const std::string& what) {
      item.finding = Finding{kind, digest, display(item.models), store_.fs.native_path(path) + " " + what, false};
    };
    const auto file = store_.fs.open(path, io::OpenMode::kRead);
    if (!file && io::is_missing(file.error())) return damaged(Finding::Kind::kMissing, "is missing");
    if (!file) return damaged(Finding::Kind::kDamaged, "cannot be read: " + file.error().message);
    const auto before = (*file)->stat();
    const std::vector<store::ChunkSum> known = store_.ledger.chunks(digest);
    const auto hash = hash_blob(
        **file, item.blob.size_bytes, known,
        [&](std::uint64_t bytes) {
          item.done += bytes;
          hashed_ += bytes;
        },
        stop);
    if (!hash && hash.error().code == ErrorCode::kCancelled) return;
    if (hash && hash->whole && hash->digest == digest) {
      const auto after = (*file)->stat();
      if (before && after && before->size_bytes == after->size_bytes && before->mtime_ns == after->mtime_ns) {
        store_.ledger.record(digest, *after, hash->sums);
      }
      return;
    }
    store_.ledger.distrust(digest);
    item.sums = known;
    if (!hash) return damaged(Finding::Kind::kDamaged, "cannot be read: " + hash.error().message);
    damaged(Finding::Kind::kDamaged,
            hash->whole ? where_damaged(*hash, known, item.blob.size_bytes) : "became shorter while it was read");
  }

  static std::string where_damaged(const BlobHash& hash, const std::vector<store::ChunkSum>& known,
                                   std::uint64_t size_bytes) {
    std::string text = "does not have the digest that it is named by";
    if (known.empty() || !covers(known, size_bytes)) return text;
    std::size_t wrong = 0;
    const store::ChunkSum* first = nullptr;
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (hash.sums[i].xxh3 == known[i].xxh3) continue;
      ++wrong;
      if (first == nullptr) first = &known[i];
    }
    if (first == nullptr) return text;
    return fmt::format("{}: {} of its {} chunks, the first at bytes {}-{}", text, wrong, known.size(), first->start,
                       first->end);
  }

  void report_progress() {
    Item* shown = nullptr;
    for (Item* item : to_hash_) {
      if (item->active && (shown == nullptr || item->blob.size_bytes > shown->blob.size_bytes)) shown = item;
    }
    if (shown == nullptr) {
      if (to_hash_.empty() || hashed_ == 0) return;
      shown = to_hash_.back();
    }
    const std::uint64_t done = hashed_;
    meter_.sample(engine_.clock.now(), done);
    sink_.report(BlobProgress{shown->blob, shown->done, done, total_, meter_.bytes_per_second(),
                              meter_.eta(total_ - std::min(total_, done)), 0});
  }

  Status finish_blobs(const std::stop_token& stop) {
    for (const auto& item : items_) {
      if (!item->finding) continue;
      Finding finding = *item->finding;
      if (request_.repair) {
        const Damage damage{item->blob, item->models, finding.kind == Finding::Kind::kMissing, item->sums};
        BlobReports reports(sink_);
        const auto repaired = repair_blob(engine_, store_, *request_.repair, damage, reports, retries_, stop);
        if (!repaired && repaired.error().code == ErrorCode::kCancelled) return fail(repaired.error());
        if (repaired) {
          finding.repaired = true;
          summary_.fetched_bytes += *repaired;
        } else {
          finding.message += "; it could not be repaired: " + repaired.error().message;
        }
      }
      add(std::move(finding));
    }
    return {};
  }

  Status finish_manifests(const std::stop_token& stop) {
    for (auto& [name, finding] : broken_) {
      if (request_.repair) {
        PullRequest pull = *request_.repair;
        pull.model = name;
        BlobReports reports(sink_);
        const auto pulled = Pull(engine_, store_, pull, reports).run(stop);
        if (!pulled && pulled.error().code == ErrorCode::kCancelled) return fail(pulled.error());
        if (pulled) {
          finding.repaired = true;
          summary_.fetched_bytes += pulled->fetched_bytes;
        } else {
          finding.message += "; it could not be repaired: " + pulled.error().message;
        }
      }
      add(std::move(finding));
    }
    for (Finding& finding : other_sizes_) add(std::move(finding));
    for (const Error& error : unreadable_) {
      add(Finding{Finding::Kind::kBrokenManifest, std::nullopt, {}, error.message, false});
    }
    return {};
  }

  // Final blobs that nobody names. Where a manifest cannot be read, nothing is said about them.
  Status find_unreferenced() {
    if (!unreadable_.empty()) return {};
    auto needed = store::named_by_manifests(store_.fs, {});
    if (!needed) return {};
    const auto pending = store::pending_pulls(store_.fs);
    if (!pending) return fail(pending.error());
    for (const store::PendingPull& pull : *pending) needed->insert(pull.blobs.begin(), pull.blobs.end());
    auto entries = store_.fs.list(store::kBlobsDir);
    if (!entries && io::is_missing(entries.error())) return {};
    if (!entries) return fail(entries.error());
    std::sort(entries->begin(), entries->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    for (const io::DirectoryEntry& entry : *entries) {
      const auto digest = Digest::parse_file_name(entry.name);
      if (!digest || entry.kind != io::FileStat::Kind::kFile || needed->contains(*digest)) continue;
      if (store_.in_use != nullptr && store_.in_use->holds(*digest)) continue;
      add(Finding{Finding::Kind::kUnreferenced,
                  *digest,
                  {},
                  store_.fs.native_path(store::blob_path(*digest)) +
                      " is named by no model; `pullama clean --unreferenced` removes it",
                  false});
    }
    return {};
  }

  void add(Finding finding) {
    if (!finding.repaired) ++summary_.wrong;
    sink_.report(std::move(finding));
  }

  EngineContext engine_;
  StoreContext store_;
  const VerifyRequest& request_;
  ProgressSink& sink_;
  store::Manifests manifests_;
  std::vector<std::unique_ptr<Item>> items_;
  std::vector<std::pair<ModelName, Finding>> broken_;
  std::vector<Finding> other_sizes_;
  std::vector<Error> unreadable_;
  std::vector<Item*> to_hash_;
  std::uint64_t total_ = 0;
  std::atomic<std::size_t> next_{0};
  std::atomic<std::uint64_t> hashed_{0};
  std::atomic<std::uint64_t> retries_{0};
  std::mutex mutex_;  // guards running_
  std::condition_variable changed_;
  unsigned running_ = 0;
  SpeedMeter meter_;
  VerifySummary summary_;
};

}  // namespace

Result<VerifySummary> verify(const EngineContext& engine, const StoreContext& store, const VerifyRequest& request,
                             ProgressSink& sink, std::stop_token stop) {
  return Verification(engine, store, request, sink).run(stop);
}

}  // namespace pullama::engine
