#include "proto/results.h"

#include "proto/fields.h"

namespace pullama::proto {

void count_job(JobCounts& counts, JobState state) {
  switch (state) {
    case JobState::kQueued:
      ++counts.queued;
      break;
    case JobState::kActive:
      ++counts.active;
      break;
    case JobState::kWaitingNetwork:
      ++counts.waiting_network;
      break;
    case JobState::kWaitingSpace:
      ++counts.waiting_space;
      break;
    case JobState::kPaused:
      ++counts.paused;
      break;
    case JobState::kCompleted:
      ++counts.completed;
      break;
    case JobState::kFailed:
      ++counts.failed;
      break;
    case JobState::kCancelled:
      ++counts.cancelled;
      break;
  }
}

template <class V>
void fields(V&, Ref<V, NoResult>) {}

template <class V>
void fields(V& v, Ref<V, Limits> l) {
  v.required("rate", l.rate);
  v.required("connections", l.connections);
  v.required("parallel_models", l.parallel_models);
}

template <class V>
void fields(V& v, Ref<V, JobCounts> c) {
  v.required("queued", c.queued);
  v.required("active", c.active);
  v.required("waiting_network", c.waiting_network);
  v.required("waiting_space", c.waiting_space);
  v.required("paused", c.paused);
  v.required("completed", c.completed);
  v.required("failed", c.failed);
  v.required("cancelled", c.cancelled);
}

template <class V>
void fields(V& v, Ref<V, NetworkSettings> n) {
  v.required("http_proxy", n.http_proxy);
  v.required("https_proxy", n.https_proxy);
  v.required("no_proxy", n.no_proxy);
  v.required("ca_file", n.ca_file);
  v.required("ca_dir", n.ca_dir);
}

template <class V>
void fields(V& v, Ref<V, DaemonSetting> s) {
  v.required("key", s.key);
  v.required("value", s.value);
  v.required("from", s.from);
}

template <class V>
void fields(V& v, Ref<V, DaemonInfo> i) {
  v.required("version", i.version);
  v.required("protocol", i.protocol);
  v.required("epoch", i.epoch);
  v.required("seq", i.seq);
  v.required("pid", i.pid);
  v.required("uptime_s", i.uptime_s);
  v.required("models_dir", i.models_dir);
  v.required("socket", i.socket);
  v.required("jobs", i.jobs);
  v.flag("asleep", i.asleep);
  v.required("rate", i.rate);
  v.required("limits", i.limits);
  v.optional("network", i.network);
  v.list("settings", i.settings);
  v.list("warnings", i.warnings);
}

template <class V>
void fields(V& v, Ref<V, KeyResult> r) {
  v.required("path", r.path);
  v.required("user", r.user);
  v.required("public_key", r.public_key);
  v.flag("created", r.created);
}

template <class V>
void fields(V& v, Ref<V, PlannedBlob> b) {
  v.required("digest", b.digest);
  v.required("size", b.size);
  v.required("present_bytes", b.present_bytes);
}

template <class V>
void fields(V& v, Ref<V, PullPlan> p) {
  v.required("model", p.model);
  v.required("models_dir", p.models_dir);
  v.required("digest", p.digest);
  v.required("blobs", p.blobs);
  v.required("total_bytes", p.total_bytes);
  v.required("travel_bytes", p.travel_bytes);
  v.required("free_bytes", p.free_bytes);
  v.required("needed_bytes", p.needed_bytes);
}

template <class V>
void fields(V& v, Ref<V, OutdatedModel> m) {
  v.required("model", m.model);
  v.required("state", m.state);
  v.nullable("local", m.local);
  v.nullable("remote", m.remote);
  v.required("changed", m.changed);
  v.required("travel_bytes", m.travel_bytes);
  v.nullable("error", m.error);
}

template <class V>
void fields(V& v, Ref<V, StoreOutdatedResult> r) {
  v.required("models", r.models);
}

template <class V>
void fields(V& v, Ref<V, StartResult> r) {
  v.optional("job", r.job);
  if (V::kReads || r.job) v.defaulted("joined", r.joined);
  v.optional("plan", r.plan);
}
template <>
std::string check(const StartResult& r) {
  return r.job.has_value() == r.plan.has_value() ? "either 'job' or 'plan' must be there" : "";
}

template <class V>
void fields(V& v, Ref<V, BlobSnapshot> b) {
  v.required("digest", b.digest);
  v.required("size", b.size);
  v.required("state", b.state);
  v.required("bytes_done", b.bytes_done);
}

template <class V>
void fields(V& v, Ref<V, JobSnapshot> j) {
  v.required("id", j.id);
  v.required("kind", j.kind);
  v.required("model", j.model);
  v.required("models_dir", j.models_dir);
  v.flag("insecure", j.insecure);
  v.required("state", j.state);
  v.required("blobs", j.blobs);
  v.required("bytes_done", j.bytes_done);
  v.required("bytes_total", j.bytes_total);
  v.required("rate", j.rate);
  v.nullable("eta_s", j.eta_s);
  v.required("connections", j.connections);
  v.required("retries", j.retries);
  v.nullable("error", j.error);
  v.nullable("waiting_until", j.waiting_until);
  v.required("created", j.created);
  v.nullable("started", j.started);
  v.nullable("finished", j.finished);
}

template <class V>
void fields(V& v, Ref<V, JobList> l) {
  v.required("jobs", l.jobs);
}

template <class V>
void fields(V& v, Ref<V, JobStateResult> r) {
  v.required("job", r.job);
  v.required("state", r.state);
  v.optional("watchers", r.watchers);
}

template <class V>
void fields(V& v, Ref<V, QueueEntry> e) {
  v.required("position", e.position, kFromOne);
  v.required("id", e.id);
  v.required("model", e.model);
  v.required("state", e.state);
  v.nullable("error", e.error);
  v.optional("models_dir", e.models_dir);
}

template <class V>
void fields(V& v, Ref<V, QueueView> q) {
  v.required("paused", q.paused);
  v.required("entries", q.entries);
}

template <class V>
void fields(V& v, Ref<V, QueueAdded> a) {
  v.required("position", a.position, kFromOne);
  v.required("id", a.id);
  v.required("model", a.model);
}

template <class V>
void fields(V& v, Ref<V, QueueSkipped> s) {
  v.required("model", s.model);
  v.required("why", s.why);
}

template <class V>
void fields(V& v, Ref<V, QueueAddResult> r) {
  v.required("added", r.added);
  v.required("skipped", r.skipped);
}

template <class V>
void fields(V& v, Ref<V, Snapshot> s) {
  v.required("epoch", s.epoch);
  v.required("jobs", s.jobs);
  v.required("queue", s.queue);
  v.required("limits", s.limits);
}

template <class V>
void fields(V& v, Ref<V, SubscribeResult> r) {
  v.required("seq", r.seq);
  v.required("gap", r.gap);
  v.nullable("snapshot", r.snapshot);
}

PULLAMA_MESSAGE(NoResult)
PULLAMA_MESSAGE(Limits)
PULLAMA_MESSAGE(DaemonInfo)
PULLAMA_MESSAGE(KeyResult)
PULLAMA_MESSAGE(PullPlan)
PULLAMA_MESSAGE(StartResult)
PULLAMA_MESSAGE(JobSnapshot)
PULLAMA_MESSAGE(JobList)
PULLAMA_MESSAGE(JobStateResult)
PULLAMA_MESSAGE(QueueView)
PULLAMA_MESSAGE(QueueAddResult)
PULLAMA_MESSAGE(StoreOutdatedResult)
PULLAMA_MESSAGE(Snapshot)
PULLAMA_MESSAGE(SubscribeResult)

}  // namespace pullama::proto
