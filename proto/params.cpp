#include "proto/params.h"

#include "proto/events.h"
#include "proto/fields.h"

namespace pullama::proto {
namespace {

constexpr std::string_view kNoDryRun = "options.dry_run is for pull.start and push.start";
constexpr std::string_view kPositionOrId = "either 'position' or 'id' must be given";

template <class T>
bool names_one(const T& params) {
  return params.position.has_value() != params.id.has_value();
}

}  // namespace

template <class V>
void fields(V& v, Ref<V, PullOptions> o) {
  v.flag("insecure", o.insecure);
  v.optional("max_retries", o.max_retries);
  v.optional("chunk_size", o.chunk_size, kFromOne);
  v.seconds("timeout_s", o.timeout);
  v.optional("connections", o.connections, {1, kMaxConnections});
  v.optional("limit_rate", o.limit_rate, kFromOne);
  v.path("ca_file", o.ca_file);
  v.flag("force", o.force);
  v.flag("dry_run", o.dry_run);
  v.flag("detached", o.detached);
}

template <class V>
void fields(V&, Ref<V, NoParams>) {}

template <class V>
void fields(V& v, Ref<V, ShutdownParams> p) {
  v.defaulted("graceful", p.graceful);
}

template <class V>
void fields(V& v, Ref<V, KeyParams> p) {
  v.flag("create", p.create);
}

template <class V>
void fields(V& v, Ref<V, StartParams> p) {
  v.required("model", p.model);
  v.object("options", p.options);
  v.path("models_dir", p.models_dir);
}

template <class V>
void fields(V& v, Ref<V, JobListParams> p) {
  v.optional("job", p.job);
}

template <class V>
void fields(V& v, Ref<V, JobParams> p) {
  v.required("job", p.job);
}

template <class V>
void fields(V& v, Ref<V, JobCancelParams> p) {
  v.required("job", p.job);
  v.flag("unless_watched", p.unless_watched);
}

template <class V>
void fields(V& v, Ref<V, QueueAddParams> p) {
  v.required("models", p.models);
  v.object("options", p.options);
  v.flag("front", p.front);
  v.path("models_dir", p.models_dir);
}
template <>
std::string check(const QueueAddParams& p) {
  if (p.options.dry_run) return std::string(kNoDryRun);
  return p.models.empty() ? "models must name at least one model" : "";
}

template <class V>
void fields(V& v, Ref<V, QueueEntryParams> p) {
  v.optional("position", p.position, kFromOne);
  v.optional("id", p.id);
}
template <>
std::string check(const QueueEntryParams& p) {
  return names_one(p) ? "" : std::string(kPositionOrId);
}

template <class V>
void fields(V& v, Ref<V, QueueMoveParams> p) {
  v.optional("position", p.position, kFromOne);
  v.optional("id", p.id);
  v.required("to", p.to, kFromOne);
}
template <>
std::string check(const QueueMoveParams& p) {
  return names_one(p) ? "" : std::string(kPositionOrId);
}

template <class V>
void fields(V& v, Ref<V, QueueRetryParams> p) {
  v.optional("position", p.position, kFromOne);
  v.optional("id", p.id);
}
template <>
std::string check(const QueueRetryParams& p) {
  return p.position && p.id ? "only one of 'position' and 'id' may be given" : "";
}

template <class V>
void fields(V& v, Ref<V, QueueStopParams> p) {
  v.defaulted("after_current", p.after_current);
  v.flag("unless_attached", p.unless_attached);
}

template <class V>
void fields(V& v, Ref<V, SubscribeParams> p) {
  v.optional("since", p.since);
  v.optional("epoch", p.epoch);
  v.list("jobs", p.jobs);
  v.list("types", p.types);
  v.flag("trace", p.trace);
}
template <>
std::string check(const SubscribeParams& p) {
  if (p.jobs.size() > kMaxFilterJobs) return fmt::format("jobs may name at most {} jobs", kMaxFilterJobs);
  if (p.types.size() > kMaxFilterTypes) return fmt::format("types may name at most {} types", kMaxFilterTypes);
  for (const std::string& job : p.jobs) {
    if (job.size() > kMaxJobIdBytes) return fmt::format("jobs: no job's id is longer than {} bytes", kMaxJobIdBytes);
  }
  for (const std::string& type : p.types) {
    if (!is_event_type(type)) return fmt::format("types: there is no event type '{}'", printable(type, 60));
  }
  return {};
}

template <class V>
void fields(V& v, Ref<V, StoreListParams> p) {
  v.path("models_dir", p.models_dir);
}

template <class V>
void fields(V& v, Ref<V, StoreShowParams> p) {
  v.required("model", p.model);
  v.path("models_dir", p.models_dir);
}

// One model may be named by `model`, too.
template <class V>
void models_of(V& v, Ref<V, std::vector<std::string>> models) {
  v.list("models", models);
  if constexpr (V::kReads) {
    std::optional<std::string> model;
    v.optional("model", model);
    if (model) models.push_back(*model);
  }
}

template <class V>
void fields(V& v, Ref<V, StoreRemoveParams> p) {
  models_of(v, p.models);
  v.flag("dry_run", p.dry_run);
  v.path("models_dir", p.models_dir);
}
template <>
std::string check(const StoreRemoveParams& p) {
  return p.models.empty() ? "models must name at least one model" : "";
}

template <class V>
void fields(V& v, Ref<V, StoreCopyParams> p) {
  v.required("source", p.source);
  v.required("destination", p.destination);
  v.path("models_dir", p.models_dir);
}

template <class V>
void fields(V& v, Ref<V, StoreCleanParams> p) {
  v.flag("dry_run", p.dry_run);
  v.flag("queue", p.queue);
  v.flag("unreferenced", p.unreferenced);
  v.flag("unfinished", p.unfinished);
  v.path("models_dir", p.models_dir);
}

template <class V>
void fields(V& v, Ref<V, StoreOutdatedParams> p) {
  models_of(v, p.models);
  v.object("options", p.options);
  v.path("models_dir", p.models_dir);
}

template <class V>
void fields(V& v, Ref<V, MaintenanceParams> p) {
  models_of(v, p.models);
  v.flag("all", p.all);
  v.flag("repair", p.repair);
  v.object("options", p.options);
  v.path("models_dir", p.models_dir);
}
template <>
std::string check(const MaintenanceParams& p) {
  return p.options.dry_run ? std::string(kNoDryRun) : "";
}

template <class V>
void fields(V& v, Ref<V, LimitsSetParams> p) {
  v.optional("rate", p.rate);
  v.optional("connections", p.connections, {0, kMaxConnections});
  v.optional("parallel_models", p.parallel_models, {1, kMaxParallelModels});
}

template <class V>
void fields(V& v, Ref<V, HistoryListParams> p) {
  v.optional("limit", p.limit, {1, kMaxHistoryEntries});
  v.optional("model", p.model);
}

PULLAMA_STRICT_MESSAGE(PullOptions)
PULLAMA_STRICT_MESSAGE(NoParams)
PULLAMA_STRICT_MESSAGE(ShutdownParams)
PULLAMA_STRICT_MESSAGE(KeyParams)
PULLAMA_STRICT_MESSAGE(StartParams)
PULLAMA_STRICT_MESSAGE(JobListParams)
PULLAMA_STRICT_MESSAGE(JobParams)
PULLAMA_STRICT_MESSAGE(JobCancelParams)
PULLAMA_STRICT_MESSAGE(QueueAddParams)
PULLAMA_STRICT_MESSAGE(QueueEntryParams)
PULLAMA_STRICT_MESSAGE(QueueMoveParams)
PULLAMA_STRICT_MESSAGE(QueueRetryParams)
PULLAMA_STRICT_MESSAGE(QueueStopParams)
PULLAMA_STRICT_MESSAGE(SubscribeParams)
PULLAMA_STRICT_MESSAGE(StoreListParams)
PULLAMA_STRICT_MESSAGE(StoreShowParams)
PULLAMA_STRICT_MESSAGE(StoreRemoveParams)
PULLAMA_STRICT_MESSAGE(StoreCopyParams)
PULLAMA_STRICT_MESSAGE(StoreCleanParams)
PULLAMA_STRICT_MESSAGE(StoreOutdatedParams)
PULLAMA_STRICT_MESSAGE(MaintenanceParams)
PULLAMA_STRICT_MESSAGE(LimitsSetParams)
PULLAMA_STRICT_MESSAGE(HistoryListParams)

}  // namespace pullama::proto
