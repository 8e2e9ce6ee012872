#pragma once
// HTTP as the engine needs it: one blocking request after another on a connection that is kept alive, the body into a
// handler, stoppable from any thread at any moment (DNS, connect and TLS too) within 100 ms. Redirects are not followed
// here: registry/redirect.h has the rules. The one implementation for real traffic is http_client.h (libcurl).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace pullama::registry {

struct Header {
  std::string name;
  std::string value;
};

// How far a request came; for messages ("resolve registry.ollama.ai: …") and for counting.
enum class Stage { kResolve, kConnect, kTls, kHeaders, kBody };
std::string_view stage_name(Stage stage);

struct HttpHead {
  int status = 0;
  std::vector<Header> headers;   // of the last response only, values byte for byte
  bool peer_is_private = false;  // loopback, link-local, private, unspecified: by the address really connected to
  // First header of that name, case-insensitively; nullptr where there is none.
  const std::string* find(std::string_view name) const;
};

// Receives one response. Called on the thread that runs the request.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Final response head (1xx are dropped). false: the body is not wanted, end the request (kAborted).
  virtual bool on_head(const HttpHead& head) = 0;
  // Pieces of up to 512 KiB. May block (rate limit); meanwhile nothing is received. false ends the request (kAborted).
  virtual bool on_body(std::span<const std::byte> bytes) = 0;
  // Called at least four times a second while the request runs, also when nothing arrives. false ends it (kAborted).
  virtual bool on_tick() { return true; }
};

// A request body. read() fills the span, 0 = end, kFailed ends the request (kAborted); it may block (rate limit).
// rewind() is called before a body is sent again.
class HttpBody {
 public:
  static constexpr std::size_t kFailed = ~std::size_t{0};
  virtual ~HttpBody() = default;
  virtual std::uint64_t size_bytes() const = 0;
  virtual std::size_t read(std::span<std::byte> into) = 0;
  virtual bool rewind() = 0;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;              // sent byte for byte
  std::vector<Header> headers;  // User-Agent, Range, Authorization, … : all by the caller
  HttpBody* body = nullptr;
  std::chrono::milliseconds connect_timeout{30'000};  // DNS, TCP and TLS together
  std::chrono::milliseconds head_timeout{30'000};     // from the request sent to the last header byte
  std::chrono::milliseconds total_timeout{0};         // --timeout; 0 = none
  bool refuse_private_addresses = false;              // judged by the address about to be connected to; see redirect.h
};

// Whose matter a refused certificate is.
enum class Distrust {
  kIssuer,  // nobody whom we trust signed it
  kTime,    // expired, or not valid yet
  kHost,    // it is another host's
  kCas,     // the trusted CAs cannot be read
  kNoTls,   // the peer speaks no TLS, or none that we do
};

struct HttpFailure {
  enum class Kind {
    kStopped,  // the stop token
    kAborted,  // the handler returned false
    kDns,
    kConnect,
    kTls,             // handshake broken off
    kCertificate,     // the peer's certificate is refused: final
    kTimeout,         // connect_timeout or head_timeout
    kTotalTimeout,    // total_timeout
    kClosed,          // reset, or closed before the body was complete
    kProtocol,        // not HTTP, headers over 64 KiB, control characters in a header value, bad chunking
    kAddressRefused,  // refuse_private_addresses
    kProxyRefused,    // the proxy forbids it or wants another login: final
    kUnsupportedUrl,
  };
  Kind kind = Kind::kClosed;
  Stage stage = Stage::kConnect;
  std::string message;                    // one sentence that names host and stage, without query, user info or secrets
  Distrust distrust = Distrust::kIssuer;  // of kCertificate
};

// One worker's connection(s). Not thread-safe; stopping is, through the stop token.
class HttpConnection {
 public:
  virtual ~HttpConnection() = default;
  // Returns when the body is complete as its framing says. Status codes are no failures here.
  virtual tl::expected<void, HttpFailure> perform(const HttpRequest& request, HttpHandler& handler,
                                                  std::stop_token stop) = 0;
  // Closes kept-alive connections, so that the next request resolves and connects anew.
  virtual void close_idle() = 0;
};

// What all connections of a job share.
struct HttpOptions {
  std::string
      ca_file;  // --ca-file: PEM, trusted for this job beside nothing else; empty: the system's (or SSL_CERT_FILE/_DIR)
};

class Http {
 public:
  virtual ~Http() = default;
  virtual std::unique_ptr<HttpConnection> connect(const HttpOptions& options) = 0;  // cheap; no I/O yet
};

}  // namespace pullama::registry
