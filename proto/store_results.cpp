#include "proto/fields.h"
#include "proto/results.h"

namespace pullama::proto {

template <class V>
void fields(V& v, Ref<V, StoredModel> m) {
  v.required("model", m.model);
  v.nullable("digest", m.digest);
  v.required("size", m.size);
  v.required("modified", m.modified);
  v.nullable("broken", m.broken);
  v.text("remote_host", m.remote_host);
  v.text("remote_model", m.remote_model);
}

template <class V>
void fields(V& v, Ref<V, StoreList> l) {
  v.required("models_dir", l.models_dir);
  v.required("models", l.models);
  v.list("unreadable", l.unreadable);
}

template <class V>
void fields(V& v, Ref<V, StoredLayer> l) {
  v.required("media_type", l.media_type);
  v.required("digest", l.digest);
  v.required("size", l.size);
  v.required("present", l.present);
  v.text("problem", l.problem);
  v.required("shared_with", l.shared_with);
}

template <class V>
void fields(V& v, Ref<V, ModelParameter> p) {
  v.required("name", p.name);
  v.required("value", p.value);
}

template <class V>
void fields(V& v, Ref<V, StoreShow> s) {
  v.required("model", s.model);
  v.required("models_dir", s.models_dir);
  v.required("digest", s.digest);
  v.required("size", s.size);
  v.required("modified", s.modified);
  v.required("format", s.format);
  v.required("family", s.family);
  v.required("parameter_size", s.parameter_size);
  v.required("quantization", s.quantization);
  v.text("remote_host", s.remote_host);
  v.text("remote_model", s.remote_model);
  v.required("layers", s.layers);
  v.required("licenses", s.licenses);
  v.required("template", s.template_text);
  v.required("system", s.system_text);
  v.required("parameters", s.parameters);
}

template <class V>
void fields(V& v, Ref<V, BlobSize> b) {
  v.required("digest", b.digest);
  v.required("size", b.size);
}

template <class V>
void fields(V& v, Ref<V, StoreRemoveResult> r) {
  v.required("removed", r.removed);
  v.required("blobs", r.blobs);
  v.required("freed_bytes", r.freed_bytes);
  v.required("shared_blobs", r.shared_blobs);
}

template <class V>
void fields(V& v, Ref<V, StoreCopyResult> r) {
  v.required("source", r.source);
  v.required("destination", r.destination);
  v.required("digest", r.digest);
}

template <class V>
void fields(V& v, Ref<V, CleanedFile> f) {
  v.required("path", f.path);
  v.required("size", f.size);
}

template <class V>
void fields(V& v, Ref<V, StoreCleanResult> r) {
  v.required("removed", r.removed);
  v.required("freed_bytes", r.freed_bytes);
  v.required("queue_entries", r.queue_entries);
  v.required("unfinished_bytes", r.unfinished_bytes);
  v.required("unfinished_models", r.unfinished_models);
}

template <class V>
void fields(V& v, Ref<V, HistoryEntry> e) {
  v.required("job", e.job);
  v.required("kind", e.kind);
  v.required("model", e.model);
  v.required("models_dir", e.models_dir);
  v.required("state", e.state);
  v.required("started", e.started);
  v.required("finished", e.finished);
  v.required("total_bytes", e.total_bytes);
  v.required("fetched_bytes", e.fetched_bytes);
  v.required("saved_bytes", e.saved_bytes);
  v.required("rate", e.rate);
  v.required("retries", e.retries);
  v.nullable("error", e.error);
}

template <class V>
void fields(V& v, Ref<V, HistoryList> l) {
  v.required("transfers", l.transfers);
}

PULLAMA_MESSAGE(StoreList)
PULLAMA_MESSAGE(StoreShow)
PULLAMA_MESSAGE(StoreRemoveResult)
PULLAMA_MESSAGE(StoreCopyResult)
PULLAMA_MESSAGE(StoreCleanResult)
PULLAMA_MESSAGE(HistoryList)

}  // namespace pullama::proto
