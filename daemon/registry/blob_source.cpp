#include "daemon/registry/blob_source.h"

#include <algorithm>
#include <utility>

#include "daemon/registry/ascii.h"
#include "daemon/registry/content_range.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/response.h"

namespace pullama::registry {
namespace {

// How long a connection waits for another one that resolves before it does so itself: longer than one hop may take.
constexpr int kTurnWaits = 900;
constexpr std::chrono::milliseconds kTurnWait{100};
// A page in the place of a blob that is smaller costs no more than fetching that once more.
constexpr std::uint64_t kSniffFromBytes = 1 << 20;

Url blob_url(const Url& registry, const std::string& repository, const Digest& digest) {
  // Host, repository and digest are of validated parts, so this parses.
  return *Url::parse(registry.origin() + "/v2/" + repository + "/blobs/" + digest.str());
}

std::optional<std::uint64_t> stated_length(const HttpHead& head) {
  const auto* value = head.find("Content-Length");
  if (head.find("Transfer-Encoding") != nullptr) return std::nullopt;  // which rules then
  return value == nullptr ? std::nullopt : parse_digits<std::uint64_t>(*value);
}

bool begins_like_html(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return starts_ignoring_case(text, "<!doctype html") || starts_ignoring_case(text, "<html");
}

}  // namespace

// Takes one answer: bytes of the range to the sink, or the start of an error's body.
class RegistryBlobSource::Stream final : public AnswerHandler {
 public:
  enum class End { kNone, kDone, kSink, kNoRanges, kProtocol };

  Stream(RegistryBlobSource& source, ByteRange range, std::uint64_t turn, BlobSink& sink)
      : source_(source),
        sink_(sink),
        guard_(source.requester_.clock()),
        range_(range),
        turn_(turn),
        next_(range.first) {}

  bool on_head(const HttpHead& head, const Answer& way) override {
    has_head_ = true;
    guard_.begin();
    streaming_ = head.status == 200 || head.status == 206;
    if (!streaming_) return true;
    if (is_encoded(head)) return refuse("a compressed body, which was not asked for");
    if (is_html(head)) return refuse("a web page (HTML) instead of the blob");
    const auto length = stated_length(head);
    // What has a blob's very length, or a range of it, is no page.
    sniff_ = head.status == 200 && length != source_.size_bytes_ && source_.size_bytes_ >= kSniffFromBytes;
    if (head.status == 206) {
      if (is_multipart(head)) return refuse("several parts in one body (multipart), which was not asked for");
      const auto* value = head.find("Content-Range");
      auto problem = content_range_problem(value, range_.first, range_.last, source_.size_bytes_);
      if (!problem.empty()) return refuse(std::move(problem));
      end_ = parse_content_range(*value)->last + 1;
      // What is longer is cut off; what is shorter is an answer to something else.
      if (length && *length < end_ - next_) return refuse(too_short(*length, end_ - next_));
    } else if (length && *length < source_.size_bytes_) {
      return refuse(too_short(*length, source_.size_bytes_));
    }
    source_.found({way.from, way.from.text != source_.registry_url_.text, way.left_registry, turn_});
    if (head.status == 206) return true;
    source_.requester_.note_without_ranges(way.from.authority());
    if (!sink_.on_whole_body()) return finish(End::kNoRanges);
    skip_ = range_.first;
    end_ = source_.size_bytes_;
    return true;
  }

  bool on_body(std::span<const std::byte> bytes) override {
    if (!streaming_) {
      guard_.gained(bytes.size());
      const auto room = std::min(bytes.size(), kMaxErrorBodyBytes - error_body_.size());
      error_body_.append(reinterpret_cast<const char*>(bytes.data()), room);
      return room == bytes.size();
    }
    if (std::exchange(sniff_, false) && begins_like_html(bytes)) {
      return refuse("a web page (HTML) instead of the blob");
    }
    const auto skipped = std::min<std::uint64_t>(skip_, bytes.size());
    skip_ -= skipped;
    if (skipped > 0 && !sink_.on_skipped(skipped)) return finish(End::kSink);
    bytes = bytes.subspan(static_cast<std::size_t>(skipped));
    const auto wanted = std::min<std::uint64_t>(end_ - next_, bytes.size());
    const bool more_than_asked = wanted < bytes.size();
    bytes = bytes.first(static_cast<std::size_t>(wanted));
    if (!bytes.empty() && !sink_.on_bytes(next_, bytes)) return finish(End::kSink);
    next_ += wanted;
    // What comes beyond is not read: the connection is dropped with it.
    return !more_than_asked || finish(End::kDone);
  }

  bool on_tick() override {
    if (has_head_ && !streaming_ && !guard_.still_moving()) return false;  // the head says enough
    // All is here and the server does not come to an end.
    if (next_ == end_) return finish(End::kDone);
    return sink_.on_tick() || finish(End::kSink);
  }

  bool streaming() const { return streaming_; }
  End end() const { return end_reason_; }
  const std::string& problem() const { return problem_; }
  const std::string& error_body() const { return error_body_; }
  std::uint64_t next() const { return next_; }
  bool complete() const { return streaming_ && next_ == end_; }
  // What the body ended short of; of a whole one also what was to be passed over.
  std::uint64_t missing() const { return end_ - next_ + skip_; }

 private:
  bool finish(End reason) {
    end_reason_ = reason;
    return false;
  }
  static std::string too_short(std::uint64_t length, std::uint64_t wanted) {
    return "a body of " + std::to_string(length) + " bytes where " + std::to_string(wanted) + " belong";
  }
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return finish(End::kProtocol);
  }

  RegistryBlobSource& source_;
  BlobSink& sink_;
  DripGuard guard_;
  const ByteRange range_;
  const std::uint64_t turn_;
  std::uint64_t next_;         // the byte that the sink gets next
  std::uint64_t end_ = ~0ULL;  // one past the last that this answer may give
  std::uint64_t skip_ = 0;
  bool has_head_ = false, streaming_ = false, sniff_ = false;
  End end_reason_ = End::kNone;
  std::string problem_, error_body_;
};

// Holds the turn to resolve; gives it back however the request ends.
class RegistryBlobSource::Resolving {
 public:
  Resolving(RegistryBlobSource& source, bool has_turn) : source_(source), has_turn_(has_turn) {}
  ~Resolving() {
    if (has_turn_) source_.end_turn();
  }
  Resolving(const Resolving&) = delete;
  Resolving& operator=(const Resolving&) = delete;

 private:
  RegistryBlobSource& source_;
  const bool has_turn_;
};

RegistryBlobSource::RegistryBlobSource(Requester& requester, std::string repository, const Digest& digest,
                                       std::uint64_t size_bytes)
    : requester_(requester),
      repository_(std::move(repository)),
      digest_(digest),
      size_bytes_(size_bytes),
      registry_url_(blob_url(requester.registry(), repository_, digest)) {}

bool RegistryBlobSource::ranges_supported() const { return !requester_.without_ranges(host()); }

std::string RegistryBlobSource::host() const {
  const std::lock_guard lock(mutex_);
  return place_ ? place_->url.authority() : registry_url_.authority();
}

// The place, or nullopt: this connection has the turn to find it and must end it.
Outcome<std::optional<RegistryBlobSource::Place>> RegistryBlobSource::place_or_turn(BlobSink& sink, std::uint64_t& turn,
                                                                                    const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (int waits = 0; !place_ && resolving_ && waits < kTurnWaits; ++waits) {
    changed_.wait_for(lock, stop, kTurnWait, [this] { return place_ || !resolving_; });
    if (stop.stop_requested()) {
      return tl::unexpected(make_fault(Fault::Kind::kStopped, ErrorCode::kCancelled, "stopped"));
    }
    lock.unlock();
    const bool goes_on = sink.on_tick();
    lock.lock();
    if (!goes_on) return tl::unexpected(make_fault(Fault::Kind::kSink, ErrorCode::kCancelled, "ended by the receiver"));
  }
  if (place_) turn = place_->number;
  if (place_) return place_;
  resolving_ = true;
  turn = ++turns_;
  return std::optional<Place>();
}

void RegistryBlobSource::found(Place place) {
  const std::lock_guard lock(mutex_);
  if (!place_) place_ = std::move(place);
  changed_.notify_all();
}

void RegistryBlobSource::forget(const Url& url) {
  const std::lock_guard lock(mutex_);
  if (place_ && place_->url.text == url.text) place_.reset();
}

void RegistryBlobSource::end_turn() {
  const std::lock_guard lock(mutex_);
  resolving_ = false;
  changed_.notify_all();
}

Outcome<void> RegistryBlobSource::fetch(HttpConnection& connection, ByteRange range, BlobSink& sink,
                                        std::stop_token stop) {
  if (range.first > range.last || range.last >= size_bytes_) {
    return tl::unexpected(make_fault(Fault::Kind::kPermanent, ErrorCode::kInternal,
                                     "a range outside of " + digest_.str() + " was asked for"));
  }
  // A server may give less than was asked for; each answer brings at least a byte.
  for (bool finished = false; !finished;) {
    auto next = fetch_once(connection, range, sink, stop, finished);
    if (!next) return tl::unexpected(next.error());
    range.first = *next;
  }
  return {};
}

Outcome<std::uint64_t> RegistryBlobSource::fetch_once(HttpConnection& connection, ByteRange range, BlobSink& sink,
                                                      const std::stop_token& stop, bool& finished) {
  std::uint64_t number = 0;
  const auto known = place_or_turn(sink, number, stop);
  if (!known) return tl::unexpected(known.error());
  const auto& place = *known;
  const Resolving turn(*this, !place);
  Ask ask;
  ask.repository = repository_;
  ask.url = place ? place->url : registry_url_;
  ask.redirected = place && place->redirected;
  ask.left_registry = place && place->left_registry;
  ask.range = range;
  ask.total_timeout = requester_.options().request_timeout;
  Stream stream(*this, range, number, sink);
  const auto answer = requester_.send(connection, ask, stream, stop);
  if (!answer) {
    // A kept URL that leads astray by now is as good as refused.
    if (ask.redirected && answer.error().kind == Fault::Kind::kPermanent) forget(ask.url);
    return tl::unexpected(answer.error());
  }
  if (stream.complete()) {
    finished = answer->head.status == 200 || stream.next() > range.last;
    return stream.next();
  }
  const auto& from = answer->from.authority();
  const auto wire = [&](Fault::Kind kind, const std::string& what) {
    auto fault = make_fault(kind, ErrorCode::kNetwork, "body from " + from + ": " + what, answer->head.status);
    fault.stage = Stage::kBody;
    return tl::unexpected(std::move(fault));
  };
  switch (stream.end()) {
    case Stream::End::kSink:
      return tl::unexpected(make_fault(Fault::Kind::kSink, ErrorCode::kCancelled, "ended by the receiver"));
    case Stream::End::kNoRanges:
      return wire(Fault::Kind::kNoRanges, "it gives no part of a blob, only all of it");
    case Stream::End::kProtocol:
      if (ask.redirected) forget(ask.url);
      // Found with this answer, whose body showed what it is.
      forget(answer->from);
      return wire(Fault::Kind::kProtocol, stream.problem());
    case Stream::End::kDone:
    case Stream::End::kNone:
      break;
  }
  if (!stream.streaming()) {
    auto fault = refused(*answer, number, stream.error_body());
    if (fault.kind == Fault::Kind::kUrlRefused || (ask.redirected && fault.kind == Fault::Kind::kTokenRefused)) {
      forget(ask.url);
    }
    return tl::unexpected(std::move(fault));
  }
  if (answer->failure) return tl::unexpected(fault_of(*answer->failure, answer->head.status));
  return wire(Fault::Kind::kTransient, "it ended " + std::to_string(stream.missing()) + " bytes early");
}

Fault RegistryBlobSource::refused(const Answer& answer, std::uint64_t turn, std::string_view body) const {
  const int status = answer.head.status;
  const auto blob = "blob " + digest_.str();
  const auto text = requester_.refusal_text(blob, answer, body);
  const bool wants_login =
      status == 401 && !answer.left_registry && (!answer.redirected || answer.head.find("WWW-Authenticate") != nullptr);
  if (wants_login) {
    auto fault = requester_.authenticator().denied(repository_, answer.head, body);
    fault.kind = Fault::Kind::kTokenRefused;
    fault.refused = answer.grant;
    return fault;
  }
  if (answer.redirected) {
    const bool refused_url = status == 401 || status == 403 || status == 404 || status == 410;
    if (refused_url || (status == 400 && is_s3_error(body))) {
      auto fault = make_fault(Fault::Kind::kUrlRefused, ErrorCode::kNetwork, text, status);
      fault.refused = turn;
      return fault;
    }
  }
  if (status == 416) return unsatisfiable(answer);
  auto fault = fault_of_status(answer.head, text, requester_.clock().wall());
  if (fault.kind != Fault::Kind::kPermanent) return fault;
  if (answer.redirected || status < 400) {
    fault.kind = Fault::Kind::kProtocol;
  } else if (status == 403) {
    fault = requester_.authenticator().denied(repository_, answer.head, body);
  } else if (status == 404 || status == 410) {
    fault.error.message = text + "; the manifest names a blob that the registry does not have";
  }
  return fault;
}

Fault RegistryBlobSource::unsatisfiable(const Answer& answer) const {
  const auto* value = answer.head.find("Content-Range");
  const auto range = value == nullptr ? std::nullopt : parse_content_range(*value);
  const auto start = "blob " + digest_.str() + ": " + answer.from.authority() + " answers 416";
  if (range && range->total && *range->total != size_bytes_) {
    return make_fault(Fault::Kind::kProtocol, ErrorCode::kNetwork,
                      start + ", it has " + std::to_string(*range->total) + " bytes where the manifest says " +
                          std::to_string(size_bytes_),
                      416);
  }
  return make_fault(Fault::Kind::kProtocol, ErrorCode::kNetwork, start + " to a range within the blob", 416);
}

}  // namespace pullama::registry
