#pragma once
// The upload side of the registry in memory: sessions, mounts, Ollama's two ways up, and what goes wrong on purpose.
// Keeps every byte that arrived, so that a test can count. Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/registry/http.h"

namespace pullama::testing {

struct Upload {                         // one request of a push
  std::string method, url, host, path;  // path without query
  std::vector<registry::Header> headers;
  unsigned number = 0;      // counts all requests of pushes, from 1
  std::uint64_t bytes = 0;  // of its body that arrived
  int status = 0;

  std::string header(const std::string& name) const;
};

struct UploadAnswer {
  int status = 200;
  std::vector<registry::Header> headers;
  std::string body;
};

struct UploadFault {
  std::optional<UploadAnswer> instead;       // the request is not carried out
  std::optional<std::uint64_t> break_after;  // the connection breaks when so many bytes of the body have arrived
  bool lose_answer = false;                  // carried out, and nobody hears of it
};

enum class UploadWay { kChunks, kParts, kDirect };

class MemoryUploads {
 public:
  using Hook = std::function<UploadFault(const Upload&)>;

  void set_way(UploadWay way);
  // Both are called for one connection at a time.
  void set_hook(Hook hook);
  // As each piece of a body arrives.
  void set_on_piece(std::function<void(std::uint64_t total_bytes)> on_piece);
  void add_blob(const std::string& repository, const std::string& digest, std::string content);
  // All open sessions are gone.
  void lose_sessions();

  std::vector<Upload> log() const;
  std::uint64_t bytes() const;  // of all bodies but manifests
  std::optional<std::string> blob(const std::string& repository, const std::string& digest) const;
  std::optional<std::string> manifest(const std::string& repository, const std::string& tag) const;
  std::string etag() const;  // of the last finish

  static bool takes(const registry::HttpRequest& request);
  tl::expected<void, registry::HttpFailure> perform(const registry::HttpRequest& request,
                                                    registry::HttpHandler& handler, const std::stop_token& stop);

 private:
  struct Session {
    std::string repository, data;
    std::map<std::uint64_t, std::string> parts;  // at presigned URLs, by offset
    std::uint64_t announced = 0;                 // by PATCHes that were redirected
  };
  UploadAnswer answer(const Upload& upload, const std::string& body);
  UploadAnswer patch(const Upload& upload, Session& session, const std::string& id, const std::string& body);
  UploadAnswer finish(const Upload& upload, const std::string& id);
  UploadAnswer open(const Upload& upload, const std::string& repository);

  std::mutex hooks_mutex_;    // held while hook_ or on_piece_ runs
  mutable std::mutex mutex_;  // guards all below
  UploadWay way_ = UploadWay::kChunks;
  Hook hook_;
  std::function<void(std::uint64_t)> on_piece_;
  std::map<std::string, Session> sessions_;
  std::map<std::string, std::string> blobs_, manifests_;  // by repository + "@" + digest, or tag
  std::vector<Upload> log_;
  std::uint64_t bytes_ = 0;
  unsigned requests_ = 0, next_session_ = 1;
  std::string etag_;
};

}  // namespace pullama::testing
