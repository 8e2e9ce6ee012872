#include "proto/events.h"

#include <array>

#include "proto/fields.h"

namespace pullama::proto {
namespace {

struct Type {
  std::string_view name;
  EventClass classification;
};
constexpr auto kState = EventClass::kState;
constexpr auto kTrace = EventClass::kTrace;

// In the order of EventBody.
constexpr std::array<Type, std::variant_size_v<EventBody>> kTypes{{
    {"job.queued", kState},
    {"job.started", kState},
    {"job.waiting", kState},
    {"job.paused", kState},
    {"job.resumed", kState},
    {"job.completed", kState},
    {"job.failed", kState},
    {"job.cancelled", kState},
    {"manifest.fetching", kState},
    {"manifest.fetched", kState},
    {"manifest.changed", kState},
    {"manifest.written", kState},
    {"blob.started", kState},
    {"blob.cached", kState},
    {"blob.waiting", kState},
    {"blob.verifying", kState},
    {"blob.resumed", kState},
    {"blob.adopted", kState},
    {"blob.progress", EventClass::kProgress},
    {"blob.verified", kState},
    {"blob.finalized", kState},
    {"blob.restarted", kState},
    {"chunk.mismatch", kState},
    {"checkpoint.discarded", kState},
    {"retry", kState},
    {"refresh", kState},
    {"queue.changed", kState},
    {"limits.changed", kState},
    {"store.changed", kState},
    {"verify.finding", kState},
    {"doctor.check", kState},
    {"http.request", kTrace},
    {"connection.opened", kTrace},
    {"connection.closed", kTrace},
    {"chunk.started", kTrace},
    {"chunk.verified", kTrace},
    {"checkpoint.saved", kTrace},
}};

constexpr auto kNames = []() {
  std::array<std::string_view, kTypes.size()> names{};
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kTypes[i].name;
  return names;
}();

// An empty body of the n-th type.
template <std::size_t I = 0>
EventBody make_body(std::size_t n) {
  if constexpr (I + 1 < std::variant_size_v<EventBody>) {
    if (n != I) return make_body<I + 1>(n);
  }
  return EventBody(std::in_place_index<I>);
}

template <class V>
void of_blob(V& v, Ref<V, BlobRef> blob) {
  v.required("digest", blob.digest);
  v.required("bytes_total", blob.bytes_total);
  v.required("index", blob.index);
  v.required("count", blob.count);
}

// Of an event that may be about a blob: all of its members or none.
template <class V>
void of_optional_blob(V& v, Ref<V, std::optional<BlobRef>> blob) {
  if constexpr (V::kReads) {
    std::optional<Digest> digest;
    v.optional("digest", digest);
    if (!digest) return;
    blob.emplace();
  } else if (!blob) {
    return;
  }
  of_blob(v, *blob);
}

}  // namespace

namespace event {

template <class V>
void fields(V& v, Ref<V, JobQueued> e) {
  v.required("kind", e.kind);
  v.nullable("position", e.position, kFromOne);
}
template <class V>
void fields(V& v, Ref<V, JobStarted> e) {
  v.required("kind", e.kind);
}
template <class V>
void fields(V& v, Ref<V, JobWaiting> e) {
  v.required("state", e.state);
  v.required("why", e.why);
  v.nullable("until", e.until);
  v.nullable("error", e.error);
}
template <class V>
void fields(V&, Ref<V, JobPaused>) {}
template <class V>
void fields(V&, Ref<V, JobResumed>) {}
template <class V>
void fields(V& v, Ref<V, JobCompleted> e) {
  v.required("kind", e.kind);
  v.required("total_bytes", e.total_bytes);
  v.required("fetched_bytes", e.fetched_bytes);
  v.required("saved_bytes", e.saved_bytes);
  v.required("blobs", e.blobs);
  v.required("retries", e.retries);
  v.required("elapsed_ms", e.elapsed);
}
template <class V>
void fields(V& v, Ref<V, JobFailed> e) {
  v.required("error", e.error);
}
template <class V>
void fields(V&, Ref<V, JobCancelled>) {}
template <class V>
void fields(V&, Ref<V, ManifestFetching>) {}
template <class V>
void fields(V& v, Ref<V, ManifestFetched> e) {
  v.required("digest", e.digest);
  v.required("blobs", e.blobs);
  v.required("total_bytes", e.total_bytes);
}
template <class V>
void fields(V& v, Ref<V, ManifestChanged> e) {
  v.required("before", e.before);
  v.required("after", e.after);
}
template <class V>
void fields(V& v, Ref<V, ManifestWritten> e) {
  v.required("digest", e.digest);
}
template <class V>
void fields(V& v, Ref<V, BlobStarted> e) {
  of_blob(v, e.blob);
}
template <class V>
void fields(V& v, Ref<V, BlobCached> e) {
  of_blob(v, e.blob);
}
template <class V>
void fields(V& v, Ref<V, BlobWaiting> e) {
  of_blob(v, e.blob);
}
template <class V>
void fields(V& v, Ref<V, BlobVerifying> e) {
  of_blob(v, e.blob);
}
template <class V>
void fields(V& v, Ref<V, BlobResumed> e) {
  of_blob(v, e.blob);
  v.required("offset", e.offset);
  v.required("verified_chunks", e.verified_chunks);
  v.required("total_chunks", e.total_chunks);
}
template <class V>
void fields(V& v, Ref<V, BlobAdopted> e) {
  of_blob(v, e.blob);
  v.required("from", e.from);
  v.required("bytes", e.bytes);
}
template <class V>
void fields(V& v, Ref<V, BlobProgress> e) {
  of_blob(v, e.blob);
  v.choice("direction", e.upload, "down", "up");
  v.required("bytes_done", e.bytes_done);
  v.required("job_bytes_done", e.job_bytes_done);
  v.required("job_bytes_total", e.job_bytes_total);
  v.required("rate", e.rate);
  v.nullable("eta_s", e.eta_s);
  v.required("connections", e.connections);
}
template <class V>
void fields(V& v, Ref<V, BlobVerified> e) {
  of_blob(v, e.blob);
  v.required("elapsed_ms", e.elapsed);
}
template <class V>
void fields(V& v, Ref<V, BlobFinalized> e) {
  of_blob(v, e.blob);
}
template <class V>
void fields(V& v, Ref<V, BlobRestarted> e) {
  of_blob(v, e.blob);
  v.required("why", e.why);
  v.required("attempt", e.attempt);
  v.required("max", e.max);
}
template <class V>
void fields(V& v, Ref<V, ChunkMismatch> e) {
  of_blob(v, e.blob);
  v.required("start", e.start);
  v.required("end", e.end);
  v.required("attempt", e.attempt);
  v.required("max", e.max);
}
template <class V>
void fields(V& v, Ref<V, CheckpointDiscarded> e) {
  of_blob(v, e.blob);
  v.required("why", e.why);
}
template <class V>
void fields(V& v, Ref<V, Retry> e) {
  of_optional_blob(v, e.blob);
  v.required("reason", e.reason);
  v.required("attempt", e.attempt);
  v.nullable("max", e.max);
  v.required("backoff_ms", e.backoff);
  v.nullable("http_status", e.http_status);
}
template <class V>
void fields(V& v, Ref<V, Refresh> e) {
  of_optional_blob(v, e.blob);
  v.choice("what", e.url, "token", "url");
  v.required("attempt", e.attempt);
  v.required("max", e.max);
}
template <class V>
void fields(V& v, Ref<V, QueueChanged> e) {
  v.required("change", e.change);
  v.required("paused", e.paused);
  v.required("total", e.total);
  v.required("ids", e.ids);
}
template <class V>
void fields(V& v, Ref<V, LimitsChanged> e) {
  v.required("rate", e.limits.rate);
  v.required("connections", e.limits.connections);
  v.required("parallel_models", e.limits.parallel_models);
}
template <class V>
void fields(V& v, Ref<V, StoreChanged> e) {
  v.required("models_dir", e.models_dir);
  v.required("change", e.change);
  v.required("models", e.models);
}
template <class V>
void fields(V& v, Ref<V, VerifyFinding> e) {
  v.required("finding", e.finding);
  v.nullable("digest", e.digest);
  v.required("models", e.models);
  v.required("message", e.message);
  v.required("repaired", e.repaired);
}
template <class V>
void fields(V& v, Ref<V, DoctorCheck> e) {
  v.required("check", e.check);
  v.required("status", e.status);
  v.required("message", e.message);
  v.required("hint", e.hint);
}
template <class V>
void fields(V& v, Ref<V, HttpRequest> e) {
  v.required("method", e.method);
  v.required("host", e.host);
  v.required("path", e.path);
  v.nullable("range", e.range);
  v.required("status", e.status);
  v.required("bytes", e.bytes);
  v.required("ms", e.duration);
}
template <class V>
void fields(V& v, Ref<V, ConnectionOpened> e) {
  of_blob(v, e.blob);
  v.required("connections", e.connections);
}
template <class V>
void fields(V& v, Ref<V, ConnectionClosed> e) {
  of_blob(v, e.blob);
  v.required("connections", e.connections);
  v.required("why", e.why);
}
template <class V>
void fields(V& v, Ref<V, ChunkStarted> e) {
  of_blob(v, e.blob);
  v.required("start", e.start);
  v.required("end", e.end);
}
template <class V>
void fields(V& v, Ref<V, ChunkVerified> e) {
  of_blob(v, e.blob);
  v.required("start", e.start);
  v.required("end", e.end);
}
template <class V>
void fields(V& v, Ref<V, CheckpointSaved> e) {
  of_blob(v, e.blob);
  v.required("bytes", e.bytes);
}

}  // namespace event

namespace {

template <class V>
void envelope(V& v, Ref<V, Event> e, Ref<V, std::string> type) {
  v.optional("seq", e.seq);
  v.required("time", e.time);
  v.required("type", type);
  v.text("job", e.job);
  v.text("model", e.model);
}

}  // namespace

std::span<const std::string_view> all_event_types() { return kNames; }
bool is_event_type(std::string_view name) { return std::find(kNames.begin(), kNames.end(), name) != kNames.end(); }
EventClass classify(const EventBody& body) { return kTypes.at(body.index()).classification; }
std::string_view type_of(const EventBody& body) { return kTypes.at(body.index()).name; }
std::string_view Event::type() const { return type_of(body); }
EventClass Event::classification() const { return classify(body); }

template <>
Result<Event> read<Event>(std::string_view json) {
  const std::optional<Json> object = parse_json(json);
  if (!object || !object->is_object()) return fail(ErrorCode::kInvalidArgument, "the event is no JSON object");
  Event event;
  std::string type;
  std::optional<Error> error;
  Reader reader(*object, "", /*strict=*/false, error);
  envelope(reader, event, type);
  if (error) return fail(std::move(*error));
  const auto name = std::find(kNames.begin(), kNames.end(), type);
  if (name == kNames.end()) {
    return fail(ErrorCode::kUnsupported, fmt::format("there is no event type '{}'", printable(type, 60)));
  }
  event.body = make_body(static_cast<std::size_t>(name - kNames.begin()));
  std::visit([&](auto& body) { fields(reader, body); }, event.body);
  if (error) return fail(std::move(*error));
  return event;
}

template <>
std::string write<Event>(const Event& message) {
  Writer writer;
  envelope(writer, message, std::string(message.type()));
  std::visit([&](const auto& body) { fields(writer, body); }, message.body);
  return std::move(writer).str();
}

std::vector<std::pair<std::string, std::string>> event_members(const Event& event) {
  Writer writer;
  std::visit([&](const auto& body) { fields(writer, body); }, event.body);
  std::vector<std::pair<std::string, std::string>> members;
  const auto json = nlohmann::ordered_json::parse(std::move(writer).str(), nullptr, false);
  for (const auto& [name, value] : json.items()) {
    if (!value.is_object()) {
      members.emplace_back(name, value.dump());
      continue;
    }
    for (const auto& [inner, inner_value] : value.items()) {
      members.emplace_back(fmt::format("{}.{}", name, inner), inner_value.dump());
    }
  }
  return members;
}

}  // namespace pullama::proto
