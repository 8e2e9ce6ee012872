#include "daemon/maintenance.h"

#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <algorithm>
#include <atomic>
#include <set>
#include <thread>

#include "common/printable.h"
#include "daemon/engine/verify.h"
#include "daemon/io/thread_start.h"
#include "daemon/store/manifests.h"
#include "daemon/store/no_ledger.h"
#include "proto/errors.h"

namespace pullama {
namespace {

// So many manifests are asked for at a time.
constexpr std::size_t kLanes = 4;
// Retries of a manifest that is only compared; a pull has more.
constexpr unsigned kCompareRetries = 2;

class NoSink final : public engine::ProgressSink {
  void report(const engine::Report&) override {}
};

// A pull as a part of a job: its figures are the job's, and its manifest says nothing of the whole.
class PartSink final : public engine::ProgressSink {
 public:
  explicit PartSink(engine::ProgressSink& sink) : sink_(sink) {}
  void report(const engine::Report& report) override {
    if (std::holds_alternative<engine::ManifestFetching>(report)) return;
    if (std::holds_alternative<engine::ManifestFetched>(report)) return;
    if (const auto* progress = std::get_if<engine::BlobProgress>(&report)) {
      engine::BlobProgress part = *progress;
      part.job_bytes_done = part.job_bytes_total = 0;
      return sink_.report(part);
    }
    sink_.report(report);
  }

 private:
  engine::ProgressSink& sink_;
};

Error not_installed(const ModelName& name, const std::string& models_dir) {
  return {ErrorCode::kNotFound, fmt::format("the model {} is not in {}", name.display(), models_dir),
          fmt::format("get it with: pullama {}", name.display()), 0};
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

Result<UpkeepSummary> Maintenance::verify(const std::vector<ModelName>& models, bool repair,
                                          const proto::PullOptions& options, const std::string& models_dir,
                                          UpkeepVoice& voice, const std::stop_token& stop) {
  if (auto usable = PullTransfers::check(options); !usable) return fail(usable.error());
  const auto readable = stores_.readable(models_dir);
  if (!readable) return fail(readable.error());
  const auto writable = stores_.writable(models_dir);
  if (!writable && (repair || writable.error().code != ErrorCode::kPermission)) return fail(writable.error());
  store::NoLedger no_ledger;
  engine::SpaceReservations no_space;
  const engine::StoreContext store =
      writable ? PullTransfers::context(**writable) : engine::StoreContext{**readable, no_ledger, no_space};
  engine::VerifyRequest request;
  request.models = models;
  if (repair) {
    // The name is set for each blob.
    request.repair = transfers_.request(*ModelName::parse("verify"), options);
  }
  request.on_plan = [&](const std::vector<engine::BlobRef>& blobs, std::uint64_t total) { voice.expect(blobs, total); };
  const std::string about = models.size() == 1 ? models.front().display() : std::string();
  const auto verified = engine::verify(transfers_.engine(), store, request, voice.about(about), stop);
  if (!verified) return fail(verified.error());
  return UpkeepSummary{verified->hashed_bytes, verified->fetched_bytes, 0, verified->blob_count, verified->retries};
}

void Maintenance::compare_one(Compared& compared, io::FileSystem& fs, const proto::PullOptions& options,
                              const std::stop_token& stop) {
  proto::OutdatedModel& shown = compared.shown;
  shown.model = compared.name.display();
  shown.state = "failed";
  const auto installed = store::Manifests(fs).read(compared.name);
  if (!installed) {
    shown.error = installed.error();
    return;
  }
  shown.local = installed->digest();
  engine::PullRequest request = transfers_.request(compared.name, options);
  if (!options.max_retries) request.max_retries = kCompareRetries;
  NoSink sink;
  store::NoLedger no_ledger;
  engine::SpaceReservations no_space;
  auto plan = engine::Pull(transfers_.engine(), {fs, no_ledger, no_space}, std::move(request), sink).plan(stop);
  if (!plan) {
    if (plan.error().code == ErrorCode::kNotFound) shown.state = "gone";
    shown.error = plan.error();
    return;
  }
  shown.remote = plan->manifest;
  shown.state = plan->manifest == installed->digest() ? "current" : "outdated";
  if (shown.state == "outdated") {
    std::set<Digest> known;
    for (const manifest::Blob& blob : installed->blobs()) known.insert(blob.digest);
    for (const auto& item : plan->blobs) {
      if (!known.contains(item.digest)) shown.changed.push_back({item.digest, item.size_bytes, item.present_bytes});
    }
    shown.travel_bytes = plan->travel_bytes;
  }
  compared.plan = std::move(*plan);
}

Result<std::vector<Maintenance::Compared>> Maintenance::compare(const std::vector<ModelName>& models,
                                                                const proto::PullOptions& options,
                                                                const std::string& models_dir,
                                                                const std::stop_token& stop) {
  if (auto usable = PullTransfers::check(options); !usable) return fail(usable.error());
  const auto fs = stores_.readable(models_dir);
  if (!fs) return fail(fs.error());
  store::Manifests manifests(**fs);
  std::vector<ModelName> names;
  if (models.empty()) {
    std::vector<Error> unreadable;
    auto all = manifests.names(&unreadable);
    if (!all) return fail(all.error());
    for (const Error& error : unreadable) spdlog::warn("{}", error.message);
    names = std::move(*all);
    std::sort(names.begin(), names.end());
  }
  for (const ModelName& wanted : models) {
    const auto name = manifests.existing_spelling(wanted);
    if (!name) return fail(name.error());
    if (!(*fs)->stat(manifests.path_of(*name))) return fail(not_installed(wanted, models_dir));
    if (std::find(names.begin(), names.end(), *name) == names.end()) names.push_back(*name);
  }
  std::vector<Compared> compared;
  compared.reserve(names.size());
  for (const ModelName& name : names) compared.push_back({name, {}, std::nullopt});
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> lanes;
    const auto compare_rest = [&] {
      for (std::size_t number = next++; number < compared.size() && !stop.stop_requested(); number = next++) {
        compare_one(compared[number], **fs, options, stop);
      }
    };
    for (std::size_t i = 1; i < std::min(kLanes, compared.size()); ++i) {
      auto lane = io::start_thread(compare_rest);
      if (!lane) break;  // fewer do
      lanes.push_back(std::move(*lane));
    }
    compare_rest();
  }
  if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while comparing with the registry");
  return compared;
}

Result<proto::StoreOutdatedResult> Maintenance::outdated(const std::vector<ModelName>& models,
                                                         const proto::PullOptions& options,
                                                         const std::string& models_dir, const std::stop_token& stop) {
  auto compared = compare(models, options, models_dir, stop);
  if (!compared) return fail(compared.error());
  proto::StoreOutdatedResult result;
  for (Compared& one : *compared) {
    if (one.shown.error) one.shown.error->message = printable(one.shown.error->message, 1024);
    result.models.push_back(std::move(one.shown));
  }
  return result;
}

Result<engine::PullSummary> Maintenance::pull_one(const Compared& compared, Store& store,
                                                  const proto::PullOptions& options, UpkeepVoice& voice,
                                                  const std::stop_token& stop) {
  engine::PullRequest request = transfers_.request(compared.name, options);
  const std::string model = compared.name.display();
  PartSink sink(voice.about(model));
  sink.report(engine::ManifestChanged{*compared.shown.local, *compared.shown.remote});
  const std::int64_t began = now_ms();
  auto pulled = engine::Pull(transfers_.engine(), PullTransfers::context(store), std::move(request), sink).run(stop);
  if (!pulled && pulled.error().code == ErrorCode::kCancelled) return pulled;
  store::HistoryEntry entry;
  entry.job = voice.job();
  entry.finished_ms = now_ms();
  entry.kind = "pull";
  entry.model = model;
  entry.models_dir = store.models_dir;
  entry.result = pulled ? "completed" : "failed";
  entry.duration_ms = entry.finished_ms - began;
  entry.total_bytes = compared.plan->total_bytes;
  if (pulled) {
    entry.transferred_bytes = pulled->fetched_bytes;
    entry.saved_bytes = pulled->saved_bytes;
    entry.retries = pulled->retries;
  } else {
    entry.error = pulled.error().message;
    entry.error_kind = proto::kind_name(pulled.error().code);
  }
  remember_(entry);
  return pulled;
}

Result<UpkeepSummary> Maintenance::update(const std::vector<ModelName>& models, const proto::PullOptions& options,
                                          const std::string& models_dir, UpkeepVoice& voice,
                                          const std::stop_token& stop) {
  auto compared = compare(models, options, models_dir, stop);
  if (!compared) return fail(compared.error());
  std::vector<const Compared*> outdated;
  std::vector<Error> errors;
  for (const Compared& one : *compared) {
    if (one.shown.state == "outdated") outdated.push_back(&one);
    // What was made here or is no longer offered is no failure of an update of everything.
    const bool passed_over = models.empty() && one.shown.state == "gone";
    if (passed_over) spdlog::info("{}: the registry has it no longer", one.shown.model);
    if (one.shown.error && !passed_over) errors.push_back(*one.shown.error);
  }
  UpkeepSummary summary;
  std::vector<engine::BlobRef> blobs;
  std::set<Digest> seen;
  for (const Compared* one : outdated) {
    for (const auto& item : one->plan->blobs) {
      if (!seen.insert(item.digest).second) continue;
      blobs.push_back({item.digest, item.size_bytes, 0, 0});
      summary.total_bytes += item.size_bytes;
    }
  }
  summary.blobs = static_cast<unsigned>(blobs.size());
  voice.expect(blobs, summary.total_bytes);
  if (!outdated.empty()) {
    const auto store = stores_.writable(models_dir);
    if (!store) return fail(store.error());
    for (const Compared* one : outdated) {
      const auto pulled = pull_one(*one, **store, options, voice, stop);
      if (!pulled && pulled.error().code == ErrorCode::kCancelled) return fail(pulled.error());
      if (!pulled) {
        errors.push_back(pulled.error());
        continue;
      }
      summary.fetched_bytes += pulled->fetched_bytes;
      summary.saved_bytes += pulled->saved_bytes;
      summary.retries += pulled->retries;
    }
  }
  if (errors.empty()) return summary;
  Error error = errors.front();
  if (errors.size() > 1) error.message += fmt::format(" (and {} more could not be updated)", errors.size() - 1);
  return fail(std::move(error));
}

}  // namespace pullama
