#pragma once
// The requests of a push, one function each (registry-protocol.md section 5): is a blob there, open an upload session,
// send a part, ask how far it came, finish. What the registry answers chooses among the three ways up: plain OCI
// chunks, Ollama's redirected parts (307 with a presigned URL), Ollama's direct upload (X-Direct-Upload-URL).
//
// Authorization goes to the registry itself only (redirect.h): an upload host that is another one, and every presigned
// URL, gets none. Locations are judged by the redirect rules. Nothing is retried here, except after a 401 with a new
// token. Thread-safe; connections are not. An upload session's URL may hold a secret: it goes into no message.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "daemon/manifest/manifest.h"
#include "daemon/registry/fault.h"
#include "daemon/registry/http.h"
#include "daemon/registry/registry.h"
#include "daemon/registry/requester.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

// Where to PUT the whole blob, with the headers that were signed for it.
struct DirectUpload {
  Url url;
  std::vector<Header> headers;
};

struct OpenedUpload {
  bool complete = false;             // mounted, or there already: nothing to send
  std::optional<Url> session;        // unless complete
  std::uint64_t min_part_bytes = 0;  // OCI-Chunk-Min-Length, at most 1 GiB
  std::optional<DirectUpload> direct;
};

struct SentPart {
  Url session;                          // for the next request
  std::optional<std::uint64_t> offset;  // bytes that the registry has by its Range header
  std::optional<Url> put_to;            // 307: the part's bytes go there, they have not been taken
};

struct UploadStatus {
  Url session;
  std::uint64_t offset = 0;
  bool ambiguous = false;  // "0-0": no byte, or one
};

class Uploads {
 public:
  Uploads(Requester& requester, std::string repository) : requester_(requester), repository_(std::move(repository)) {}

  // HEAD, redirects followed. `repository` another one of the same registry, to mount from. Anything but a clear yes or
  // 404 is a fault: an answer that says nothing is never "absent".
  Outcome<bool> has_blob(HttpConnection& connection, const std::string& repository, const Digest& digest,
                         std::stop_token stop);
  // POST; `mount_from` a repository, or empty.
  Outcome<OpenedUpload> open(HttpConnection& connection, const Digest& digest, std::uint64_t size_bytes,
                             const std::string& mount_from, std::stop_token stop);
  // PATCH of bytes `range` with `body`, which waits for the registry's word (Expect) where `ask_first`.
  Outcome<SentPart> send_part(HttpConnection& connection, const Url& session, ByteRange range, HttpBody& body,
                              bool ask_first, std::stop_token stop);
  // GET of the session. kSessionLost where the registry does not know it.
  Outcome<UploadStatus> status(HttpConnection& connection, const Url& session, std::stop_token stop);
  // PUT of a part or a whole blob to a presigned URL. kUrlRefused where that is not valid (any more).
  Outcome<void> put_presigned(HttpConnection& connection, const Url& url, const std::vector<Header>& headers,
                              HttpBody& body, std::stop_token stop);
  // The last PUT; `etag` empty where no part went through a presigned URL. kSessionLost where the registry does not
  // know the session, or has other bytes than the digest says (the session is gone then, too).
  Outcome<void> finish(HttpConnection& connection, const Url& session, const Digest& digest, const std::string& etag,
                       std::stop_token stop);
  // DELETE; what comes of it does not matter.
  void cancel(HttpConnection& connection, const Url& session, std::stop_token stop);

  // The manifest's stored bytes under `tag`; false where the registry misses a blob of it. The digest that it states is
  // compared.
  Outcome<bool> put_manifest(HttpConnection& connection, const std::string& tag, const manifest::Manifest& manifest,
                             std::stop_token stop);

  // A session's URL as it was kept on disk; the redirect rules hold for it as for a Location.
  Result<Url> kept_session(std::string_view text) const;
  std::string host() const;
  const std::string& repository() const { return repository_; }

 private:
  Ask ask(const std::string& repository, const std::string& rest) const;
  Ask ask_session(const Url& session) const;
  Outcome<Url> session_of(const Answer& answer, const Url* otherwise) const;
  Outcome<std::optional<DirectUpload>> direct_of(const Answer& answer) const;
  Outcome<Requester::Text> exchange(HttpConnection& connection, const Ask& ask, std::stop_token stop);
  std::string not_authorized(const std::string& why) const;
  Fault refused(std::string_view what, const Answer& answer, std::string_view body) const;
  Fault session_refused(std::string_view what, const Answer& answer, std::string_view body) const;

  Requester& requester_;
  const std::string repository_;
};

// The range of a session's answer: "0-<last>", "bytes=0-<last>" or "bytes 0-<last>"; nullopt where it is none.
std::optional<std::uint64_t> parse_upload_range(std::string_view value);

// The URL of a session's next request, as the answer of the one to `from` gives it; `otherwise` where it gives none.
Result<Url> next_upload_session(const Url& from, const HttpHead& head, const Url* otherwise);

// Whether a header that a registry wants to be sent to an upload host may be: none that says who we are, where the
// message goes or ends, or what belongs to the connection (RFC 9110 section 7.6.1).
bool may_be_signed_header(std::string_view name);

}  // namespace pullama::registry
