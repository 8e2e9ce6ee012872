#include "client/event_text.h"

#include <fmt/format.h>

#include <type_traits>
#include <variant>

#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"

namespace pullama::client {
namespace {

namespace e = proto::event;
constexpr std::size_t kMostReason = 300;

std::string safe(std::string_view text) { return printable(text, kMostReason); }

class Words {
 public:
  explicit Words(const char* sign, Tone tone) { line_.push_back({sign, tone}); }
  Words& text(std::string text, Tone tone = Tone::kText) {
    line_.push_back({" ", Tone::kText});
    line_.push_back({std::move(text), tone});
    return *this;
  }
  Words& blob(const proto::BlobRef& blob) { return text(blob.digest.short_hex(), Tone::kDigest); }
  Words& size(std::uint64_t bytes) { return text(format_size(bytes), Tone::kBytes); }
  Words& place(const proto::BlobRef& blob) {
    return text(fmt::format("[{}/{}]", blob.index, blob.count), Tone::kMuted);
  }
  std::optional<EventText> done() { return EventText{std::move(line_), false}; }
  std::optional<EventText> warning() { return EventText{std::move(line_), true}; }

 private:
  Line line_;
};

Words good(const char* sign) { return Words(sign, Tone::kSuccess); }
Words info(const char* sign) { return Words(sign, Tone::kInfo); }
Words warn(const char* sign) { return Words(sign, Tone::kWarn); }
Words bad(const char* sign) { return Words(sign, Tone::kError); }
Words muted() { return Words("·", Tone::kMuted); }

std::string tries(unsigned attempt, std::optional<unsigned> max) {
  return max ? fmt::format("{}/{}", attempt, *max) : fmt::format("{}", attempt);
}

std::optional<EventText> words_of(const e::JobQueued& body) {
  if (!body.position) return std::nullopt;
  return muted().text(fmt::format("queued at {}", *body.position)).done();
}
std::optional<EventText> words_of(const e::JobWaiting& body) {
  const bool space = body.state == proto::JobState::kWaitingSpace;
  auto words = warn("⚠").text(space ? "waiting for room on the disk" : "waiting for the network");
  if (!body.why.empty()) words.text("·", Tone::kMuted).text(safe(body.why));
  return words.warning();
}
std::optional<EventText> words_of(const e::JobPaused&) { return muted().text("paused").done(); }
std::optional<EventText> words_of(const e::JobResumed&) { return info("▸").text("resumed").done(); }
std::optional<EventText> words_of(const e::ManifestFetched& body) {
  return good("✓")
      .text("manifest")
      .text("·", Tone::kMuted)
      .text(fmt::format("{} blobs", body.blobs))
      .text("·", Tone::kMuted)
      .size(body.total_bytes)
      .done();
}
// An update of several models says which one.
std::optional<EventText> words_of(const e::ManifestChanged& body, const std::string& model) {
  return warn("⚠")
      .text(model.empty() ? "the tag moved from" : safe(model) + " moved from")
      .text(body.before.short_hex(), Tone::kDigest)
      .text("to")
      .text(body.after.short_hex(), Tone::kDigest)
      .text("- going on with the new one")
      .warning();
}
std::optional<EventText> words_of(const e::ManifestWritten&) { return good("✓").text("manifest written").done(); }
std::optional<EventText> words_of(const e::BlobStarted& body) {
  return info("›").text("downloading").blob(body.blob).size(body.blob.bytes_total).place(body.blob).done();
}
std::optional<EventText> words_of(const e::BlobCached& body) {
  return Words("◆", Tone::kAlt).text("cached").blob(body.blob).size(body.blob.bytes_total).place(body.blob).done();
}
std::optional<EventText> words_of(const e::BlobWaiting& body) {
  return warn("⚠").text("waiting").blob(body.blob).text("lock held by another process").warning();
}
std::optional<EventText> words_of(const e::BlobVerifying& body) {
  return muted().text("verifying").blob(body.blob).size(body.blob.bytes_total).place(body.blob).done();
}
std::optional<EventText> words_of(const e::BlobResumed& body) {
  return info("↻")
      .text("resumed")
      .blob(body.blob)
      .text("@")
      .size(body.offset)
      .text(fmt::format("({}/{} chunks)", body.verified_chunks, body.total_chunks), Tone::kMuted)
      .done();
}
std::optional<EventText> words_of(const e::BlobAdopted& body) {
  return info("↻").text("adopted").blob(body.blob).size(body.bytes).text("from " + safe(body.from)).done();
}
std::optional<EventText> words_of(const e::BlobVerified& body) {
  return good("✓")
      .text("verified")
      .blob(body.blob)
      .text(fmt::format("({})", format_duration(body.elapsed)), Tone::kMuted)
      .done();
}
std::optional<EventText> words_of(const e::BlobFinalized& body) {
  return good("✓").text("finalized").blob(body.blob).done();
}
std::optional<EventText> words_of(const e::BlobRestarted& body) {
  return bad("✗")
      .text("verify failed")
      .blob(body.blob)
      .text(fmt::format("re-download {}/{}", body.attempt, body.max))
      .text("·", Tone::kMuted)
      .text(safe(body.why))
      .warning();
}
std::optional<EventText> words_of(const e::ChunkMismatch& body) {
  return bad("✗")
      .text(fmt::format("chunk mismatch at {}-{}, retry {}/{}", body.start, body.end, body.attempt, body.max))
      .warning();
}
std::optional<EventText> words_of(const e::CheckpointDiscarded& body) {
  return warn("⚠")
      .text("checkpoint corrupt")
      .text("—", Tone::kMuted)
      .text(safe(body.why) + ", starting fresh")
      .warning();
}
std::optional<EventText> words_of(const e::Retry& body) {
  return warn("↻")
      .text("retry " + tries(body.attempt, body.max))
      .text("·", Tone::kMuted)
      .text(safe(body.reason))
      .text("·", Tone::kMuted)
      .text("backoff " + format_duration(body.backoff))
      .warning();
}
std::optional<EventText> words_of(const e::Refresh& body) {
  return warn("↻")
      .text(fmt::format("refreshing {}, {}/{})", body.url ? "CDN URL (403" : "token (401", body.attempt, body.max))
      .warning();
}
std::optional<EventText> words_of(const e::VerifyFinding& body) {
  auto words = body.repaired ? good("✓") : bad("✗");
  words.text(safe(body.finding));
  if (body.digest) words.text(body.digest->short_hex(), Tone::kDigest);
  for (const std::string& model : body.models) words.text(safe(model));
  if (!body.message.empty()) words.text("·", Tone::kMuted).text(safe(body.message));
  if (body.repaired) words.text("· repaired", Tone::kSuccess);
  return words.done();
}
std::optional<EventText> words_of(const e::DoctorCheck& body) {
  auto words = body.status == "ok"        ? good("✓")
               : body.status == "failed"  ? bad("✗")
               : body.status == "warning" ? warn("⚠")
                                          : muted();
  words.text(safe(body.check)).text("·", Tone::kMuted).text(safe(body.message));
  if (!body.hint.empty()) words.text("—", Tone::kMuted).text(safe(body.hint));
  return words.done();
}
std::optional<EventText> words_of(const e::HttpRequest& body) {
  std::string range;
  if (body.range) range = fmt::format(" bytes={}-{}", body.range->first, body.range->second);
  const std::string answer = body.status == 0 ? std::string("no answer") : std::to_string(body.status);
  return muted()
      .text(fmt::format("{} {}{}{} {}", safe(body.method), safe(body.host), safe(body.path), range, answer),
            Tone::kMuted)
      .size(body.bytes)
      .text(fmt::format("{} ms", body.duration.count()), Tone::kMuted)
      .done();
}
std::optional<EventText> words_of(const e::ConnectionOpened& body) {
  return muted().text("connection opened").blob(body.blob).text(fmt::format("({} now)", body.connections)).done();
}
std::optional<EventText> words_of(const e::ConnectionClosed& body) {
  return muted()
      .text("connection closed")
      .blob(body.blob)
      .text(fmt::format("({} now)", body.connections))
      .text(safe(body.why), Tone::kMuted)
      .done();
}
std::optional<EventText> words_of(const e::ChunkStarted& body) {
  return muted().text("chunk started").blob(body.blob).text(fmt::format("{}-{}", body.start, body.end)).done();
}
std::optional<EventText> words_of(const e::ChunkVerified& body) {
  return muted().text("chunk verified").blob(body.blob).text(fmt::format("{}-{}", body.start, body.end)).done();
}
std::optional<EventText> words_of(const e::CheckpointSaved& body) {
  return muted().text("checkpoint saved").blob(body.blob).size(body.bytes).done();
}
// Where a push says something else than a pull; nullopt where it does not.
std::optional<EventText> words_of_push(const proto::Event& event) {
  if (const auto* body = std::get_if<e::BlobStarted>(&event.body)) {
    return info("›").text("uploading").blob(body->blob).size(body->blob.bytes_total).place(body->blob).done();
  }
  if (const auto* body = std::get_if<e::BlobCached>(&event.body)) {
    return Words("◆", Tone::kAlt)
        .text("there already")
        .blob(body->blob)
        .size(body->blob.bytes_total)
        .place(body->blob)
        .done();
  }
  if (const auto* body = std::get_if<e::BlobRestarted>(&event.body)) {
    return bad("✗")
        .text("upload lost")
        .blob(body->blob)
        .text(fmt::format("upload again {}/{}", body->attempt, body->max))
        .text("·", Tone::kMuted)
        .text(safe(body->why))
        .warning();
  }
  if (std::holds_alternative<e::ManifestWritten>(event.body)) return good("✓").text("manifest pushed").done();
  return std::nullopt;
}
// What the frame, the figures or the end of a pull show: job.started, completed, failed, cancelled, samples, the queue.
template <class T>
std::optional<EventText> words_of(const T&) {
  return std::nullopt;
}

}  // namespace

std::optional<EventText> event_text(const proto::Event& event, bool verbose, proto::JobKind kind) {
  if (event.classification() == proto::EventClass::kTrace && !verbose) return std::nullopt;
  if (const auto* changed = std::get_if<e::ManifestChanged>(&event.body)) return words_of(*changed, event.model);
  if (kind == proto::JobKind::kPush) {
    if (auto words = words_of_push(event)) return words;
  }
  return std::visit([](const auto& body) { return words_of(body); }, event.body);
}

const char* doing(proto::JobKind kind) {
  switch (kind) {
    case proto::JobKind::kPush:
      return "pushing";
    case proto::JobKind::kVerify:
      return "verifying";
    case proto::JobKind::kUpdate:
      return "updating";
    case proto::JobKind::kDoctor:
      return "checking";
    case proto::JobKind::kPull:
      break;
  }
  return "pulling";
}

const char* done(proto::JobKind kind) {
  switch (kind) {
    case proto::JobKind::kPush:
      return "pushed";
    case proto::JobKind::kVerify:
      return "verified";
    case proto::JobKind::kUpdate:
      return "updated";
    case proto::JobKind::kDoctor:
      return "checked";
    case proto::JobKind::kPull:
      break;
  }
  return "pulled";
}

std::optional<proto::Event> waiting_event(const Transfer& transfer) {
  using proto::JobState;
  if (transfer.state != JobState::kWaitingNetwork && transfer.state != JobState::kWaitingSpace) return std::nullopt;
  proto::Event event;
  event.job = transfer.job;
  event.model = transfer.model;
  event.body = proto::event::JobWaiting{transfer.state, transfer.waits_for, std::nullopt, transfer.error};
  return event;
}

}  // namespace pullama::client
