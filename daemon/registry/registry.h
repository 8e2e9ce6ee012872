#pragma once
// One registry host as one job sees it: manifests, blobs and chunksums of repositories, with authentication
// (anonymous first, then the challenge), redirects and limits handled. Does not retry, except that a token is fetched
// and the request repeated once after a 401, and a 412 once with Ollama's User-Agent: the engine's retry rules own the
// rest. Thread-safe: many connections share the token and the resolved URLs; one refresh serves all.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "daemon/io/clock.h"
#include "daemon/manifest/manifest.h"
#include "daemon/registry/fault.h"
#include "daemon/registry/http.h"
#include "daemon/registry/mirror.h"

namespace pullama::registry {

class Credentials;  // credentials.h: the Ed25519 key file and ~/.docker/config.json

struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // inclusive
};

struct Chunksum {
  Digest digest;
  ByteRange range;
};

// One finished HTTP request, for --verbose. `path` is without query.
struct RequestTrace {
  std::string method, host, path;
  std::optional<ByteRange> range;
  int status = 0;
  std::uint64_t bytes = 0;
  std::chrono::milliseconds duration{0};
};

struct RegistryOptions {
  bool insecure = false;  // http://
  bool push = false;      // tokens that may also push
  std::string ca_file{};
  std::string user_agent{};  // empty: pullama/<version>
  // Of this host, asked before it in their order; only what has the right digest is taken. One that cannot be reached
  // is left alone for the life of the Registry.
  std::vector<Mirror> mirrors{};
  std::chrono::milliseconds request_timeout{std::chrono::minutes(30)};
  std::function<void(const RequestTrace&)> on_request;  // from any thread; may be empty
  std::function<void(int attempt)> on_token_refresh;    // a token replaced one that was refused; may be empty
};

// Receives the bytes of one range. Called on the fetching thread.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  // The server ignores ranges and sends the blob from byte 0. true: take it, bytes before the range are skipped by the
  // source, and the body runs on to the end of the *blob*, past the range. false: drop it (kNoRanges).
  virtual bool on_whole_body() = 0;
  // Of a whole body: so many bytes more before the range have come and are passed over. May block; false ends the fetch
  // (kSink).
  virtual bool on_skipped(std::uint64_t bytes) = 0;
  // In order, never beyond the range (or the blob's size after on_whole_body). May block. false ends the fetch (kSink).
  virtual bool on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
  virtual bool on_tick() { return true; }
};

class Registry;
class Uploads;  // upload.h

// One blob at its registry: the URL it really lies at is resolved once and used byte for byte for every range until it
// is refused. While one connection resolves, others wait for it.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // Fetches the range into the sink; success means that every byte of it was delivered.
  virtual Outcome<void> fetch(HttpConnection& connection, ByteRange range, BlobSink& sink, std::stop_token stop) = 0;
  // False once the host that the bytes come from has answered 200 to a range request, of whichever blob.
  virtual bool ranges_supported() const = 0;
  // Host (with port) that the bytes come from, for messages; the registry's until resolved.
  virtual std::string host() const = 0;
};

class Registry {
 public:
  // `host` with ":port" where there is one.
  Registry(Http& http, const io::Clock& clock, const Credentials& credentials, std::string host,
           RegistryOptions options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  std::unique_ptr<HttpConnection> connect();

  // The manifest's bytes as sent, parsed and within limits; Docker-Content-Digest, when sent, is compared.
  Outcome<manifest::Manifest> fetch_manifest(HttpConnection& connection, const ModelName& name, std::stop_token stop);

  // The manifest came from a mirror and names a blob that the origin refuses: that mirror is not asked for manifests
  // again.
  bool was_misled() const;

  // nullopt where the registry has none or they do not cover the blob exactly. Ask for blobs of 64 MiB and more only.
  Outcome<std::optional<std::vector<Chunksum>>> fetch_chunksums(HttpConnection& connection, const ModelName& name,
                                                                const Digest& digest, std::uint64_t size_bytes,
                                                                std::stop_token stop);

  // The registry must outlive the source.
  std::unique_ptr<BlobSource> blob(const ModelName& name, const Digest& digest, std::uint64_t size_bytes);

  // For pushing to the repository of `name`; nullptr where the host is none. The registry must outlive it.
  std::unique_ptr<Uploads> uploads(const ModelName& name);

  const std::string& host() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace pullama::registry
