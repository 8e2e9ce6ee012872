#include "daemon/store_replies.h"

#include <spdlog/spdlog.h>
#include <utility>

#include "daemon/store/cleaning.h"
#include "daemon/store/library.h"
#include "daemon/store/removal.h"
#include "proto/errors.h"

namespace pullama {
namespace {

proto::Time time_of_ns(std::int64_t ns) {
  return std::chrono::floor<std::chrono::milliseconds>(proto::Time(std::chrono::milliseconds(0)) +
                                                       std::chrono::nanoseconds(ns));
}

proto::StoredLayer wire(store::ShownLayer layer) {
  const bool present = layer.problem.empty();
  return {std::move(layer.media_type), layer.digest, layer.size_bytes, present, std::move(layer.problem),
          std::move(layer.shared_with)};
}

// To change something that is there: a models dir is not made for it.
Result<Store*> existing(Stores& stores, const std::string& models_dir) {
  if (const auto there = stores.readable(models_dir); !there) return fail(there.error());
  return stores.writable(models_dir);
}

// What `work` does with the store: to look only where it changes nothing, so that it needs no right to write.
template <class T, class Work>
Result<T> with_store(Stores& stores, const std::string& models_dir, bool dry_run, const Work& work) {
  if (dry_run) {
    const auto fs = stores.readable(models_dir);
    if (!fs) return fail(fs.error());
    const auto known = stores.known_in_use(models_dir);
    return work(store::RemovalContext{**fs, nullptr, known});
  }
  const auto store = existing(stores, models_dir);
  if (!store) return fail(store.error());
  return work(store::RemovalContext{*(*store)->fs, (*store)->ledger.get(), &(*store)->in_use});
}

}  // namespace

Result<proto::StoreList> list_reply(Stores& stores, const std::string& models_dir) {
  const auto fs = stores.readable(models_dir);
  if (!fs) return fail(fs.error());
  auto listed = store::Library(**fs).list();
  if (!listed) return fail(listed.error());
  proto::StoreList list;
  list.models_dir = models_dir;
  for (Error& error : listed->unreadable) {
    spdlog::warn("{}", error.message);
    list.unreadable.push_back(std::move(error.message));
  }
  for (auto& model : listed->models) {
    proto::StoredModel stored;
    stored.model = model.name.display();
    stored.digest = model.digest;
    stored.size = model.size_bytes;
    stored.modified = time_of_ns(model.mtime_ns);
    if (!model.broken.empty()) stored.broken = std::move(model.broken);
    stored.remote_host = std::move(model.remote_host);
    stored.remote_model = std::move(model.remote_model);
    list.models.push_back(std::move(stored));
  }
  return list;
}

Result<proto::StoreShow> show_reply(Stores& stores, const std::string& models_dir, const ModelName& name) {
  const auto fs = stores.readable(models_dir);
  if (!fs) return fail(fs.error());
  auto model = store::Library(**fs).show(name);
  if (!model) return fail(model.error());
  proto::StoreShow show;
  show.model = model->name.display();
  show.models_dir = models_dir;
  show.digest = model->digest;
  show.size = model->size_bytes;
  show.modified = time_of_ns(model->mtime_ns);
  show.format = std::move(model->format);
  show.family = std::move(model->family);
  show.parameter_size = std::move(model->parameter_size);
  show.quantization = std::move(model->quantization);
  show.remote_host = std::move(model->remote_host);
  show.remote_model = std::move(model->remote_model);
  if (model->config) show.layers.push_back(wire(std::move(*model->config)));
  for (auto& layer : model->layers) show.layers.push_back(wire(std::move(layer)));
  show.licenses = std::move(model->licenses);
  show.template_text = std::move(model->template_text);
  show.system_text = std::move(model->system_text);
  for (auto& [parameter, value] : model->parameters) show.parameters.push_back({parameter, value});
  return show;
}

Result<proto::StoreRemoveResult> remove_reply(Stores& stores, const std::string& models_dir,
                                              const std::vector<ModelName>& names, const OpenJobs& open, bool dry_run) {
  std::vector<ModelName> all_open = open.busy;
  all_open.insert(all_open.end(), open.unfinished.begin(), open.unfinished.end());
  const auto work = [&](const store::RemovalContext& context) {
    return store::remove_models(context, names, all_open, dry_run, {});
  };
  const auto removal = with_store<store::Removal>(stores, models_dir, dry_run, work);
  if (!removal) return fail(removal.error());
  proto::StoreRemoveResult result;
  for (const ModelName& name : removal->models) result.removed.push_back(name.display());
  for (const store::RemovedBlob& blob : removal->blobs) result.blobs.push_back({blob.digest, blob.size_bytes});
  result.freed_bytes = removal->freed_bytes;
  result.shared_blobs = removal->shared_blobs;
  return result;
}

Result<proto::StoreCopyResult> copy_reply(Stores& stores, const std::string& models_dir, const ModelName& source,
                                          const ModelName& destination) {
  const auto store = existing(stores, models_dir);
  if (!store) return fail(store.error());
  const auto copied = store::Library(*(*store)->fs).copy(source, destination, {});
  if (!copied) return fail(copied.error());
  return proto::StoreCopyResult{copied->source.display(), copied->destination.display(), copied->digest};
}

Result<proto::StoreCleanResult> clean_reply(Stores& stores, const std::string& models_dir, const OpenJobs& open,
                                            const CleanWishes& wishes) {
  store::CleanRequest request;
  request.busy = open.busy;
  request.unfinished = open.unfinished;
  request.take_unfinished = wishes.unfinished;
  request.unreferenced = wishes.unreferenced;
  request.dry_run = wishes.dry_run;
  const auto work = [&](const store::RemovalContext& context) { return store::clean(context, request, {}); };
  auto cleaning = with_store<store::Cleaning>(stores, models_dir, wishes.dry_run, work);
  if (!cleaning) return fail(cleaning.error());
  proto::StoreCleanResult result;
  for (auto& file : cleaning->removed) result.removed.push_back({std::move(file.path), file.size_bytes});
  result.freed_bytes = cleaning->freed_bytes;
  result.unfinished_bytes = cleaning->unfinished_bytes;
  result.unfinished_models = std::move(cleaning->unfinished_models);
  return result;
}

proto::HistoryList history_reply(const std::vector<store::HistoryEntry>& entries) {
  proto::HistoryList list;
  for (const auto& entry : entries) {
    proto::HistoryEntry wired;
    wired.job = entry.job;
    wired.kind = proto::job_kind(entry.kind).value_or(proto::JobKind::kPull);
    wired.model = entry.model;
    wired.models_dir = entry.models_dir;
    wired.state = proto::job_state(entry.result).value_or(proto::JobState::kFailed);
    wired.finished = proto::Time(std::chrono::milliseconds(entry.finished_ms));
    wired.started = wired.finished - std::chrono::milliseconds(entry.duration_ms);
    wired.total_bytes = entry.total_bytes;
    wired.fetched_bytes = entry.transferred_bytes;
    wired.saved_bytes = entry.saved_bytes;
    if (entry.duration_ms > 0) {
      wired.rate = static_cast<double>(entry.transferred_bytes) * 1000 / static_cast<double>(entry.duration_ms);
    }
    wired.retries = entry.retries;
    if (!entry.error.empty()) wired.error = Error{proto::code_of_kind(entry.error_kind), entry.error, "", 0};
    list.transfers.push_back(std::move(wired));
  }
  return list;
}

}  // namespace pullama
