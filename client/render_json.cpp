// A JSON object a line, errors too; standard error stays empty. Names of events and members are the original's.

#include <cmath>
#include <type_traits>
#include <utility>
#include <variant>

#include "client/error_text.h"
#include "client/event_text.h"
#include "client/renderer.h"
#include "common/printable.h"
#include "proto/errors.h"
#include "proto/json_object.h"

namespace pullama::client {
namespace {

namespace e = proto::event;
using proto::JsonObject;

JsonObject named(std::string_view event) {
  JsonObject object;
  object.add("event", event);
  return object;
}

std::string blob_json(const proto::BlobRef& blob) {
  return JsonObject()
      .add("Digest", blob.digest.str())
      .add("Size", blob.bytes_total)
      .add("Index", blob.index)
      .add("Total", blob.count)
      .str();
}

JsonObject about(std::string_view event, const proto::BlobRef& blob) {
  JsonObject object = named(event);
  object.add_json("Blob", blob_json(blob));
  return object;
}

std::string chunk_json(const proto::BlobRef& blob, std::uint64_t start, std::uint64_t end) {
  return JsonObject().add("BlobDigest", blob.digest.str()).add("Start", start).add("End", end).str();
}

std::uint64_t whole(double value) {
  return std::isfinite(value) && value > 0 ? static_cast<std::uint64_t>(std::min(value, 1e15)) : 0;
}

class JsonRenderer final : public Renderer {
 public:
  JsonRenderer(Streams& streams, bool verbose, bool quiet, std::string job)
      : streams_(streams), verbose_(verbose), quiet_(quiet), job_(std::move(job)) {}

  void started(const Subject& subject) override {
    subject_ = subject;
    prefix_ = subject.kind == proto::JobKind::kPull     ? "pull"
              : subject.kind == proto::JobKind::kPush   ? "push"
              : subject.kind == proto::JobKind::kVerify ? "verify"
              : subject.kind == proto::JobKind::kUpdate ? "update"
                                                        : "doctor";
    shown_percent_ = 0;
    has_progress_ = has_manifest_ = false;
    say(of_model(prefix_ + "_start"));
  }

  void attached(const Transfer& transfer, Instant now) override {
    if (transfer.has_manifest) manifest(transfer.blob_count, transfer.total_bytes);
    if (const auto waits = waiting_event(transfer)) event(*waits, transfer, now);
    if (transfer.total_bytes > 0 && !transfer.is_finished()) progress(transfer);
  }

  void event(const proto::Event& event, const Transfer& transfer, Instant) override {
    if (event.classification() == proto::EventClass::kTrace && !verbose_) return;
    std::visit([&](const auto& body) { tell(body, event, transfer); }, event.body);
  }

  void notice(const std::string& text) override { say(named("notice").add("Message", text)); }

  void completed(const Transfer& transfer) override {
    if ((has_progress_ ? shown_percent_ < 100 : has_manifest_) && transfer.total_bytes > 0) progress(transfer);
    JsonObject object = of_model(prefix_ + "_completed");
    const e::JobCompleted summary = transfer.summary.value_or(e::JobCompleted{});
    object.add("TotalBytes", summary.total_bytes)
        .add("ElapsedMs", summary.elapsed.count())
        .add("BlobCount", summary.blobs)
        .add("FetchedBytes", summary.fetched_bytes);
    last(object);
  }
  void failed(const Error& error) override {
    const Error whole = with_hint(error);
    JsonObject object = of_model(prefix_ + "_failed");
    object.add("Kind", proto::kind_name(whole.code)).add("Message", whole.message);
    if (!whole.hint.empty()) object.add("Hint", whole.hint);
    last(object);
  }
  void interrupted(const std::string& text) override { last(of_model("interrupted").add("Message", text)); }
  void detached(const std::string& text) override { last(of_model("detached").add("Message", text)); }

 private:
  JsonObject of_model(std::string_view event) {
    JsonObject object = named(event);
    if (!subject_.model.empty()) object.add("Model", subject_.name).add("Tag", subject_.tag);
    return object;
  }
  void say(const JsonObject& object) {
    if (!quiet_) last(object);
  }
  void last(JsonObject object) {
    if (!job_.empty()) object.add("Job", job_);
    streams_.out.raw(object.str() + "\n");
  }

  // Once: one that joins hears it from the snapshot and may hear it again.
  void manifest(unsigned blobs, std::uint64_t bytes) {
    if (std::exchange(has_manifest_, true)) return;
    say(of_model("manifest_fetched").add("BlobCount", blobs).add("TotalSize", bytes));
  }
  void progress(const Transfer& transfer) {
    has_progress_ = true;
    shown_percent_ = transfer.percent;
    say(named("progress")
            .add("pct", transfer.percent)
            .add("OverallDone", transfer.done_bytes)
            .add("OverallTotal", transfer.total_bytes)
            .add("BytesPerSecond", whole(transfer.rate))
            .add("ETASeconds", transfer.eta ? transfer.eta->count() : 0));
  }

  void tell(const e::ManifestFetching&, const proto::Event&, const Transfer&) { say(of_model("manifest_fetch_start")); }
  void tell(const e::ManifestFetched& body, const proto::Event&, const Transfer&) {
    manifest(body.blobs, body.total_bytes);
  }
  void tell(const e::ManifestWritten&, const proto::Event&, const Transfer&) { say(of_model("manifest_written")); }
  void tell(const e::ManifestChanged& body, const proto::Event&, const Transfer&) {
    say(of_model("manifest_changed").add("Before", body.before.str()).add("After", body.after.str()));
  }
  void tell(const e::BlobStarted& body, const proto::Event&, const Transfer&) { say(about("blob_start", body.blob)); }
  void tell(const e::BlobCached& body, const proto::Event&, const Transfer&) { say(about("blob_cached", body.blob)); }
  void tell(const e::BlobWaiting& body, const proto::Event&, const Transfer&) {
    say(about("blob_waiting_for_lock", body.blob));
  }
  void tell(const e::BlobVerifying& body, const proto::Event&, const Transfer&) {
    say(about("blob_verify_start", body.blob));
  }
  void tell(const e::BlobResumed& body, const proto::Event&, const Transfer&) {
    say(about("blob_resumed", body.blob)
            .add("ResumedAtOffset", body.offset)
            .add("VerifiedChunks", body.verified_chunks)
            .add("TotalChunks", body.total_chunks));
  }
  void tell(const e::BlobAdopted& body, const proto::Event&, const Transfer&) {
    say(about("blob_adopted", body.blob).add("From", body.from).add("Bytes", body.bytes));
  }
  void tell(const e::BlobProgress&, const proto::Event&, const Transfer& transfer) {
    if (transfer.total_bytes > 0) progress(transfer);
  }
  void tell(const e::BlobVerified& body, const proto::Event&, const Transfer&) {
    say(about("blob_verified", body.blob).add("ElapsedMs", body.elapsed.count()));
  }
  void tell(const e::BlobFinalized& body, const proto::Event&, const Transfer&) {
    say(about("blob_finalized", body.blob));
  }
  void tell(const e::BlobRestarted& body, const proto::Event&, const Transfer&) {
    say(about("blob_verify_failed", body.blob)
            .add("Attempt", body.attempt)
            .add("MaxAttempts", body.max)
            .add("Reason", body.why));
  }
  void tell(const e::ChunkMismatch& body, const proto::Event&, const Transfer&) {
    say(named("chunk_mismatch")
            .add_json("Chunk", chunk_json(body.blob, body.start, body.end))
            .add("Attempt", body.attempt)
            .add("MaxRetry", body.max));
  }
  void tell(const e::CheckpointDiscarded& body, const proto::Event&, const Transfer&) {
    say(named("checkpoint_corrupt").add("BlobDigest", body.blob.digest.str()).add("Reason", body.why));
  }
  void tell(const e::Retry& body, const proto::Event&, const Transfer&) {
    JsonObject object = named("retry");
    if (body.blob) object.add_json("Blob", blob_json(*body.blob));
    object.add("Attempt", body.attempt);
    if (body.max) object.add("MaxAttempts", *body.max);
    object.add("Reason", body.reason)
        .add("BackoffMs", body.backoff.count())
        .add("HTTPStatus", body.http_status.value_or(0));
    say(object);
  }
  void tell(const e::Refresh& body, const proto::Event&, const Transfer&) {
    JsonObject object = named("refresh");
    if (body.blob) object.add_json("Blob", blob_json(*body.blob));
    say(object.add("Kind", body.url ? "url" : "token").add("Attempt", body.attempt).add("Max", body.max));
  }
  void tell(const e::JobWaiting& body, const proto::Event&, const Transfer&) {
    say(of_model("waiting").add("State", proto::name_of(body.state)).add("Reason", body.why));
  }
  void tell(const e::JobPaused&, const proto::Event&, const Transfer&) { say(of_model("paused")); }
  void tell(const e::JobResumed&, const proto::Event&, const Transfer&) { say(of_model("resumed")); }
  // The start and the end of a job are started(), completed() and their kin.
  void tell(const e::JobStarted&, const proto::Event&, const Transfer&) {}
  void tell(const e::JobCompleted&, const proto::Event&, const Transfer&) {}
  void tell(const e::JobFailed&, const proto::Event&, const Transfer&) {}
  void tell(const e::JobCancelled&, const proto::Event&, const Transfer&) {}
  // What the original did not have keeps its own name and members.
  template <class T>
  void tell(const T&, const proto::Event& event, const Transfer&) {
    std::string name(event.type());
    for (char& letter : name) letter = letter == '.' ? '_' : letter;
    JsonObject object = named(name);
    for (const auto& [member, value] : proto::event_members(event)) object.add_json(member, value);
    say(object);
  }

  Streams& streams_;
  bool verbose_, quiet_;
  const std::string job_;
  Subject subject_;
  std::string prefix_ = "pull";
  unsigned shown_percent_ = 0;
  bool has_progress_ = false, has_manifest_ = false;
};

}  // namespace

std::unique_ptr<Renderer> make_json_renderer(Streams& streams, bool verbose, bool quiet, std::string job) {
  return std::make_unique<JsonRenderer>(streams, verbose, quiet, std::move(job));
}

}  // namespace pullama::client
