#include "daemon/registry/upload.h"

#include <algorithm>

#include "daemon/registry/ascii.h"
#include "daemon/registry/auth.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/response.h"

namespace pullama::registry {
namespace {

constexpr std::string_view kOctets = "application/octet-stream";
constexpr std::uint64_t kMaxMinPartBytes = 1ULL << 30;
// A registry may copy the whole blob to its place before it answers.
constexpr std::chrono::minutes kFinishing{15};
// A large body is worth a question first; a small one is sent sooner than answered.
constexpr std::uint64_t kAskFirstFromBytes = 64ULL << 10;

std::string encoded(const Digest& digest) { return "sha256%3A" + digest.hex(); }

Url with_query(const Url& url, const std::string& query) {
  const bool has_query = url.target.find('?') != std::string::npos;
  auto longer = url;
  longer.text += (has_query ? "&" : "?") + query;
  longer.target += (has_query ? "&" : "?") + query;
  return longer;
}

// Its own registry says which digests and sizes it wants in the first request; strict OCI registries would take a
// digest there for the whole upload.
bool speaks_ollama(const Url& registry) {
  return registry.is_https() && (registry.host == ModelName::kDefaultHost || registry.host == "ollama.com");
}

Fault lost(Fault fault) {
  fault.kind = Fault::Kind::kSessionLost;
  fault.error.code = ErrorCode::kNetwork;
  return fault;
}

}  // namespace

std::string Uploads::host() const { return requester_.registry().authority(); }

Ask Uploads::ask(const std::string& repository, const std::string& rest) const {
  Ask result;
  result.repository = repository;
  result.url = *Url::parse(requester_.registry().origin() + "/v2/" + repository + rest);
  result.total_timeout = requester_.options().request_timeout;
  return result;
}

Ask Uploads::ask_session(const Url& session) const {
  Ask result;
  result.repository = repository_;
  result.url = session;
  result.redirected = !may_send_authorization(requester_.registry(), session);
  result.total_timeout = requester_.options().request_timeout;
  return result;
}

std::string Uploads::not_authorized(const std::string& why) const {
  return "you are not authorized to push to " + repository_ + ": " + why;
}

Outcome<Requester::Text> Uploads::exchange(HttpConnection& connection, const Ask& ask, std::stop_token stop) {
  auto text = requester_.send_text(connection, ask, kMaxErrorBodyBytes, std::move(stop));
  // No way to log in, or none that was accepted.
  if (!text && text.error().error.code == ErrorCode::kAuthFailed) {
    text.error().error.message = not_authorized(text.error().error.message);
  }
  return text;
}

Result<Url> Uploads::kept_session(std::string_view text) const { return resolve_redirect(requester_.registry(), text); }

Outcome<Url> Uploads::session_of(const Answer& answer, const Url* otherwise) const {
  auto url = next_upload_session(answer.from, answer.head, otherwise);
  if (url) return std::move(*url);
  return tl::unexpected(
      make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork,
                 "the upload location that " + answer.from.authority() + " gives is refused: " + url.error().message,
                 answer.head.status));
}

Fault Uploads::refused(std::string_view what, const Answer& answer, std::string_view body) const {
  const int status = answer.head.status;
  auto fault = fault_of_status(answer.head, requester_.refusal_text(what, answer, body), requester_.clock().wall());
  if (fault.kind != Fault::Kind::kPermanent) return fault;
  const bool ours = !answer.redirected;
  switch (status) {
    case 401:
    case 403: {
      if (!ours) {
        fault.error.hint = "the registry handed the upload to another host, which gets no token of ours";
        break;
      }
      fault = requester_.authenticator().denied(repository_, answer.head, body);
      fault.error.message = not_authorized(fault.error.message);
      if (status == 403) {
        fault.error.hint = "copy the model into a namespace of yours (`pullama cp`) and push that; " + fault.error.hint;
      }
      break;
    }
    case 404:
      fault.error.code = ErrorCode::kNotFound;
      break;
    case 405:
    case 501:
      fault.error.code = ErrorCode::kUnsupported;
      fault.error.hint = "the registry is read-only, or takes no uploads";
      break;
    case 413:
      fault.error.hint = "the registry, or a proxy before it, takes no body of that size; try a smaller --chunk-size";
      break;
    case 400:
    case 416:
      fault.kind = Fault::Kind::kProtocol;
      break;
    default:
      if (status < 400) fault.kind = Fault::Kind::kProtocol;
  }
  return fault;
}

Fault Uploads::session_refused(std::string_view what, const Answer& answer, std::string_view body) const {
  auto fault = refused(what, answer, body);
  const int status = answer.head.status;
  return status == 404 || status == 410 ? lost(std::move(fault)) : fault;
}

Outcome<bool> Uploads::has_blob(HttpConnection& connection, const std::string& repository, const Digest& digest,
                                std::stop_token stop) {
  auto request = ask(repository, "/blobs/" + digest.str());
  request.method = "HEAD";
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const int status = text->answer.head.status;
  if (is_success(status)) return true;
  if (status == 404) return false;
  auto fault = refused("blob " + digest.str(), text->answer, text->body);
  // A signed URL may hold for a GET only, or have expired: that says nothing, and another one may.
  if (text->answer.redirected && fault.kind == Fault::Kind::kPermanent) fault.kind = Fault::Kind::kUrlRefused;
  return tl::unexpected(std::move(fault));
}

Outcome<OpenedUpload> Uploads::open(HttpConnection& connection, const Digest& digest, std::uint64_t size_bytes,
                                    const std::string& mount_from, std::stop_token stop) {
  std::string query;
  if (!mount_from.empty()) {
    // Repositories have only characters that a query may hold.
    query = "?mount=" + encoded(digest) + "&from=" + mount_from;
  } else if (speaks_ollama(requester_.registry())) {
    query = "?digest=" + encoded(digest);
  }
  auto request = ask(repository_, "/blobs/uploads/" + query);
  request.method = "POST";
  request.headers = {{"X-Redirect-Uploads", "2"}, {"X-Content-Length", std::to_string(size_bytes)}};
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  OpenedUpload opened;
  if (answer.head.status == 201) {
    opened.complete = true;
    return opened;
  }
  if (answer.head.status != 202) {
    return tl::unexpected(refused("upload of blob " + digest.str(), answer, text->body));
  }
  if (answer.head.find("Location") == nullptr && answer.head.find("Docker-Upload-Location") == nullptr) {
    return tl::unexpected(make_fault(Fault::Kind::kProtocol, ErrorCode::kNetwork,
                                     answer.from.authority() + " names no place for the upload of blob " + digest.str(),
                                     answer.head.status));
  }
  auto session = session_of(answer, nullptr);
  if (!session) return tl::unexpected(session.error());
  opened.session = std::move(*session);
  auto direct = direct_of(answer);
  if (!direct) return tl::unexpected(direct.error());
  opened.direct = std::move(*direct);
  if (const auto* least = answer.head.find("OCI-Chunk-Min-Length"); least != nullptr) {
    opened.min_part_bytes = std::min(parse_digits<std::uint64_t>(*least).value_or(0), kMaxMinPartBytes);
  }
  return opened;
}

Outcome<SentPart> Uploads::send_part(HttpConnection& connection, const Url& session, ByteRange range, HttpBody& body,
                                     bool ask_first, std::stop_token stop) {
  auto request = ask_session(session);
  request.method = "PATCH";
  request.body = &body;
  request.redirect_is_final = true;
  request.headers = {{"Content-Type", std::string(kOctets)},
                     {"Content-Range", std::to_string(range.first) + "-" + std::to_string(range.last)},
                     {"X-Redirect-Uploads", "1"}};
  if (ask_first && body.size_bytes() > kAskFirstFromBytes) request.headers.push_back({"Expect", "100-continue"});
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  const int status = answer.head.status;
  if (!is_success(status) && status != 307) {
    return tl::unexpected(session_refused("upload", answer, text->body));
  }
  auto next = session_of(answer, &session);
  if (!next) return tl::unexpected(next.error());
  SentPart sent{std::move(*next), std::nullopt, std::nullopt};
  if (status == 307) {
    const auto* place = answer.head.find("Location");
    auto url = resolve_redirect(answer.from, place == nullptr ? std::string_view{} : *place);
    if (!url) {
      return tl::unexpected(make_fault(
          Fault::Kind::kPermanent, ErrorCode::kNetwork,
          "the place for a part that " + answer.from.authority() + " names is refused: " + url.error().message,
          status));
    }
    sent.put_to = std::move(*url);
    return sent;
  }
  if (const auto* has = answer.head.find("Range"); has != nullptr) sent.offset = parse_upload_range(*has);
  return sent;
}

Outcome<UploadStatus> Uploads::status(HttpConnection& connection, const Url& session, std::stop_token stop) {
  const auto request = ask_session(session);
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  if (!is_success(answer.head.status)) {
    auto fault = session_refused("state of an upload", answer, text->body);
    // Who cannot say how far it came cannot go on.
    const bool mute = fault.kind == Fault::Kind::kProtocol || fault.error.code == ErrorCode::kUnsupported;
    return tl::unexpected(mute ? lost(std::move(fault)) : fault);
  }
  auto next = session_of(answer, &session);
  if (!next) return tl::unexpected(next.error());
  const auto* range = answer.head.find("Range");
  const auto offset = range == nullptr ? std::optional<std::uint64_t>(0) : parse_upload_range(*range);
  if (!offset) {
    return tl::unexpected(
        lost(make_fault(Fault::Kind::kProtocol, ErrorCode::kNetwork,
                        answer.from.authority() + " does not say how far an upload came", answer.head.status)));
  }
  return UploadStatus{std::move(*next), *offset, range != nullptr && *offset == 0};
}

Outcome<void> Uploads::put_presigned(HttpConnection& connection, const Url& url, const std::vector<Header>& headers,
                                     HttpBody& body, std::stop_token stop) {
  auto request = ask_session(url);
  // Signed is who may put there: our token has no business in it, not even at the registry's own host.
  request.redirected = true;
  request.without_authorization = true;
  request.method = "PUT";
  request.body = &body;
  request.headers = headers;
  const bool typed = std::any_of(headers.begin(), headers.end(), [](const Header& header) {
    return equals_ignoring_case(header.name, "Content-Type");
  });
  if (!typed) request.headers.push_back({"Content-Type", std::string(kOctets)});
  // A URL that has expired is refused before a part travels, and the refusal is not lost in a broken connection.
  if (body.size_bytes() > kAskFirstFromBytes) request.headers.push_back({"Expect", "100-continue"});
  request.head_timeout = kFinishing;
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  const int status = answer.head.status;
  if (is_success(status)) return {};
  auto fault = refused("upload", answer, text->body);
  const bool is_expired =
      status == 401 || status == 403 || status == 404 || status == 410 || (status == 400 && is_s3_error(text->body));
  if (is_expired) {
    fault.kind = Fault::Kind::kUrlRefused;
    fault.error.code = ErrorCode::kNetwork;
    fault.error.hint = "the presigned URL is refused or has expired";
  }
  return tl::unexpected(std::move(fault));
}

Outcome<void> Uploads::finish(HttpConnection& connection, const Url& session, const Digest& digest,
                              const std::string& etag, std::stop_token stop) {
  const auto query = "digest=" + encoded(digest) + (etag.empty() ? "" : "&etag=" + etag);
  auto request = ask_session(with_query(session, query));
  request.method = "PUT";
  request.headers = {{"Content-Type", std::string(kOctets)}};
  request.head_timeout = kFinishing;
  auto text = exchange(connection, request, stop);
  if (!text) return tl::unexpected(text.error());
  const auto& answer = text->answer;
  if (is_success(answer.head.status)) return {};
  auto fault = session_refused("end of the upload of blob " + digest.str(), answer, text->body);
  // The registry has wrong bytes (DIGEST_INVALID, SIZE_INVALID, another etag) and forgets them.
  return tl::unexpected(answer.head.status == 400 || answer.head.status == 416 ? lost(std::move(fault)) : fault);
}

void Uploads::cancel(HttpConnection& connection, const Url& session, std::stop_token stop) {
  auto request = ask_session(session);
  request.method = "DELETE";
  request.total_timeout = std::chrono::seconds(5);
  static_cast<void>(exchange(connection, request, stop));
}

}  // namespace pullama::registry
