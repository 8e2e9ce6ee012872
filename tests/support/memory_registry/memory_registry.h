#pragma once
// A registry without sockets, behind registry::Http: serves models from memory, cuts, bends and withholds what the
// test's hook says, and keeps a log of every byte that it handed out. For tests of the engine: deterministic, no time
// passes. Thread-safe.

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "daemon/registry/http.h"
#include "tests/support/memory_registry/memory_uploads.h"

namespace pullama::testing {

struct Served {
  std::string path;
  std::optional<std::uint64_t> first, last;  // of the Range asked for
  int status = 0;
  std::uint64_t bytes = 0;  // of the body, handed over
};

// What the hook may change of an answer that would have been right.
struct Answer {
  int status = 200;
  std::vector<registry::Header> headers;
  std::string body;
  std::optional<std::uint64_t> close_after;  // the connection breaks after this many bytes of the body
  bool silent = false;                       // no byte, until the request is given up
};

struct Request {
  std::string method, url, host, path;  // path without query
  std::vector<registry::Header> headers;
  std::optional<std::uint64_t> first, last;
  unsigned number = 0;  // counts all requests, from 1
};

class MemoryRegistry final : public registry::Http {
 public:
  using Hook = std::function<void(const Request&, Answer&)>;

  // Returns the digest. The repository does not matter for blobs.
  Digest add_blob(std::string content);
  void add_manifest(const std::string& repository, const std::string& tag, std::string json);
  // Blobs as layers, the last one as config.
  std::string add_model(const std::string& repository, const std::string& tag, const std::vector<std::string>& blobs);
  void set_chunksums(const Digest& digest, std::string text);
  void set_hook(Hook hook);
  // How much of a body is handed over at once; 64 KiB unless told.
  void set_piece_bytes(std::size_t bytes);
  // Called for each piece before it is handed over, from the fetching thread; may request a stop or block.
  void set_on_piece(std::function<void(std::uint64_t total_bytes)> on_piece);

  // Everything but GETs of manifests and blobs.
  MemoryUploads& uploads() { return uploads_; }

  std::vector<Served> log() const;
  std::uint64_t blob_bytes_served() const;

  std::unique_ptr<registry::HttpConnection> connect(const registry::HttpOptions& options) override;

 private:
  friend class MemoryConnection;
  Answer answer(const Request& request);

  MemoryUploads uploads_;
  mutable std::mutex mutex_;                      // guards all below
  std::map<std::string, std::string> blobs_;      // by digest
  std::map<std::string, std::string> manifests_;  // by path
  std::map<std::string, std::string> chunksums_;  // by digest
  Hook hook_;
  std::function<void(std::uint64_t)> on_piece_;
  std::size_t piece_bytes_ = 64 << 10;
  std::vector<Served> log_;
  unsigned requests_ = 0;
  std::uint64_t blob_bytes_ = 0;
};

}  // namespace pullama::testing
