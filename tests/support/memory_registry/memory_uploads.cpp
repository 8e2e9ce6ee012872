#include "tests/support/memory_registry/memory_uploads.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>

#include "daemon/io/sha256.h"

namespace pullama::testing {
namespace {

constexpr std::size_t kPieceBytes = 64 << 10;

std::string query_value(const std::string& url, const std::string& name) {
  const auto query = url.find('?');
  auto at = query == std::string::npos ? query : url.find(name + "=", query);
  if (at == std::string::npos) return {};
  at += name.size() + 1;
  std::string value = url.substr(at, url.find('&', at) - at);
  if (const auto colon = value.find("%3A"); colon != std::string::npos) value.replace(colon, 3, ":");
  return value;
}

UploadAnswer error(int status, const std::string& code) {
  return {status, {}, fmt::format(R"({{"errors":[{{"code":"{}","message":"{}"}}]}})", code, code)};
}

}  // namespace

std::string Upload::header(const std::string& name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return h.name == name; });
  return found == headers.end() ? std::string() : found->value;
}

void MemoryUploads::set_way(UploadWay way) {
  const std::lock_guard lock(mutex_);
  way_ = way;
}
void MemoryUploads::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}
void MemoryUploads::set_on_piece(std::function<void(std::uint64_t)> on_piece) {
  const std::lock_guard lock(mutex_);
  on_piece_ = std::move(on_piece);
}
void MemoryUploads::add_blob(const std::string& repository, const std::string& digest, std::string content) {
  const std::lock_guard lock(mutex_);
  blobs_[repository + "@" + digest] = std::move(content);
}
void MemoryUploads::lose_sessions() {
  const std::lock_guard lock(mutex_);
  sessions_.clear();
}
std::vector<Upload> MemoryUploads::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}
std::uint64_t MemoryUploads::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}
std::optional<std::string> MemoryUploads::blob(const std::string& repository, const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = blobs_.find(repository + "@" + digest);
  return found == blobs_.end() ? std::nullopt : std::optional(found->second);
}
std::optional<std::string> MemoryUploads::manifest(const std::string& repository, const std::string& tag) const {
  const std::lock_guard lock(mutex_);
  const auto found = manifests_.find(repository + "@" + tag);
  return found == manifests_.end() ? std::nullopt : std::optional(found->second);
}
std::string MemoryUploads::etag() const {
  const std::lock_guard lock(mutex_);
  return etag_;
}

bool MemoryUploads::takes(const registry::HttpRequest& request) {
  return request.method != "GET" || request.url.find("/blobs/uploads/") != std::string::npos;
}

tl::expected<void, registry::HttpFailure> MemoryUploads::perform(const registry::HttpRequest& http,
                                                                 registry::HttpHandler& handler,
                                                                 const std::stop_token& stop) {
  using Kind = registry::HttpFailure::Kind;
  const auto failed = [](Kind kind, std::string text) {
    return tl::unexpected(registry::HttpFailure{kind, registry::Stage::kBody, std::move(text)});
  };
  Upload upload;
  upload.method = http.method;
  upload.url = http.url;
  upload.headers = http.headers;
  const auto host_at = http.url.find("://") + 3;
  const auto path_at = http.url.find('/', host_at);
  upload.host = http.url.substr(host_at, path_at - host_at);
  upload.path = http.url.substr(path_at, http.url.find('?', path_at) - path_at);
  UploadFault fault;
  {
    const std::lock_guard lock(mutex_);
    upload.number = ++requests_;
  }
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    hook = hook_;
  }
  if (hook) {
    const std::lock_guard one_at_a_time(hooks_mutex_);
    fault = hook(upload);
  }
  std::string body;
  const bool asks_first = upload.header("Expect") == "100-continue";
  const bool redirects = upload.method == "PATCH" && way_ == UploadWay::kParts;
  bool broken = false;
  if (http.body != nullptr && !(asks_first && (redirects || fault.instead))) {
    std::string piece(kPieceBytes, '\0');
    while (!broken) {
      if (stop.stop_requested()) return failed(Kind::kStopped, "stopped");
      const auto got = http.body->read(std::as_writable_bytes(std::span(piece.data(), piece.size())));
      if (got == registry::HttpBody::kFailed) return failed(Kind::kAborted, "the body failed");
      if (got == 0) break;
      body.append(piece, 0, got);
      broken = fault.break_after && body.size() >= *fault.break_after;
      if (broken) body.resize(static_cast<std::size_t>(*fault.break_after));
      std::function<void(std::uint64_t)> on_piece;
      std::uint64_t total = 0;
      {
        const std::lock_guard lock(mutex_);
        if (upload.path.find("/manifests/") == std::string::npos) bytes_ += got;
        total = bytes_;
        on_piece = on_piece_;
      }
      if (on_piece) {
        const std::lock_guard one_at_a_time(hooks_mutex_);
        on_piece(total);
      }
    }
    if (!broken && body.size() != http.body->size_bytes()) return failed(Kind::kClosed, "a short body");
  }
  upload.bytes = body.size();
  UploadAnswer reply;
  {
    const std::lock_guard lock(mutex_);
    reply = fault.instead ? *fault.instead : answer(upload, body);
    upload.status = reply.status;
    log_.push_back(upload);
  }
  if (broken || fault.lose_answer) return failed(Kind::kClosed, "the connection was closed");
  if (stop.stop_requested()) return failed(Kind::kStopped, "stopped");
  registry::HttpHead head;
  head.status = reply.status;
  head.headers = reply.headers;
  head.peer_is_private = true;
  if (!handler.on_head(head)) return failed(Kind::kAborted, "the handler gave up");
  if (upload.method != "HEAD" && !reply.body.empty() &&
      !handler.on_body(std::as_bytes(std::span(reply.body.data(), reply.body.size())))) {
    return failed(Kind::kAborted, "the handler gave up");
  }
  return {};
}

UploadAnswer MemoryUploads::answer(const Upload& upload, const std::string& body) {
  const auto in_path = [&](const char* part) { return upload.path.find(part); };
  if (upload.path.starts_with("/put/")) {  // presigned
    const auto slash = upload.path.find('/', 5);
    const auto session = sessions_.find(upload.path.substr(5, slash - 5));
    if (session == sessions_.end()) return error(404, "NoSuchUpload");
    session->second.parts[std::stoull(upload.path.substr(slash + 1))] = body;
    return {};
  }
  const auto v2 = std::string("/v2/").size();
  if (const auto at = in_path("/manifests/"); at != std::string::npos) {
    manifests_[upload.path.substr(v2, at - v2) + "@" + upload.path.substr(at + 11)] = body;
    return {201, {}, {}};
  }
  const auto uploads = in_path("/blobs/uploads/");
  if (uploads == std::string::npos) {
    const auto blobs = in_path("/blobs/");
    if (blobs == std::string::npos) return error(404, "NAME_UNKNOWN");
    const auto key = upload.path.substr(v2, blobs - v2) + "@" + upload.path.substr(blobs + 7);
    return blobs_.contains(key) ? UploadAnswer{} : error(404, "BLOB_UNKNOWN");
  }
  const auto repository = upload.path.substr(v2, uploads - v2);
  const auto id = upload.path.substr(uploads + 15);
  if (upload.method == "POST") return open(upload, repository);
  const auto session = sessions_.find(id);
  if (session == sessions_.end()) return error(404, "BLOB_UPLOAD_UNKNOWN");
  if (upload.method == "PATCH") return patch(upload, session->second, id, body);
  if (upload.method == "PUT") return finish(upload, id);
  if (upload.method == "DELETE") {
    sessions_.erase(session);
    return {204, {}, {}};
  }
  const auto size = session->second.data.size();
  return {204,
          {{"Location", upload.path + "?now=" + std::to_string(size)},
           {"Range", fmt::format("0-{}", size == 0 ? 0 : size - 1)}},
          {}};
}

UploadAnswer MemoryUploads::open(const Upload& upload, const std::string& repository) {
  if (const auto digest = query_value(upload.url, "mount"); !digest.empty()) {
    const auto from = blobs_.find(query_value(upload.url, "from") + "@" + digest);
    if (from != blobs_.end()) {
      blobs_[repository + "@" + digest] = from->second;
      return {201, {}, {}};
    }
  }
  const auto id = std::to_string(next_session_++);
  sessions_[id].repository = repository;
  UploadAnswer answer{202, {{"Location", "/v2/" + repository + "/blobs/uploads/" + id + "?state=a%2Fb"}}, {}};
  if (way_ == UploadWay::kDirect) {
    answer.headers.push_back({"X-Direct-Upload-URL", "https://store.test/put/" + id + "/0?sig=a%2Bz"});
    answer.headers.push_back({"X-Signed-Header-X-Amz-Checksum-Sha256", "c2ln"});
    answer.headers.push_back({"X-Signed-Header-Host", "evil.test"});
    answer.headers.push_back({"X-Signed-Header-Authorization", "Bearer stolen"});
  }
  return answer;
}

UploadAnswer MemoryUploads::patch(const Upload& upload, Session& session, const std::string& id,
                                  const std::string& body) {
  std::uint64_t first = 0;
  const auto range = upload.header("Content-Range");
  std::from_chars(range.data(), range.data() + range.size(), first);
  const auto next = upload.path + "?state=" + std::to_string(first + body.size());
  if (way_ == UploadWay::kParts) {
    if (first > session.announced) return error(416, "RANGE_INVALID");
    const auto last = std::stoull(range.substr(range.find('-') + 1));
    session.announced = std::max<std::uint64_t>(session.announced, last + 1);
    return {307,
            {{"Docker-Upload-Location", next},
             {"Location", fmt::format("https://store.test/put/{}/{}?sig=a%2Bz", id, first)}},
            {}};
  }
  if (first != session.data.size()) return error(416, "RANGE_INVALID");
  session.data += body;
  return {202, {{"Location", next}, {"Range", fmt::format("0-{}", session.data.size() - 1)}}, {}};
}

UploadAnswer MemoryUploads::finish(const Upload& upload, const std::string& id) {
  Session session = std::move(sessions_[id]);
  sessions_.erase(id);
  for (const auto& [offset, bytes] : session.parts) session.data += bytes;
  etag_ = query_value(upload.url, "etag");
  const auto digest = query_value(upload.url, "digest");
  const auto real = io::sha256(std::as_bytes(std::span(session.data.data(), session.data.size())));
  if (real.str() != digest) return error(400, "DIGEST_INVALID");
  blobs_[session.repository + "@" + digest] = std::move(session.data);
  return {201, {{"Docker-Content-Digest", digest}}, {}};
}

}  // namespace pullama::testing
