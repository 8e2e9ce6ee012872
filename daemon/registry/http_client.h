#pragma once
// HTTP for real, by libcurl: the only file that includes it. HTTP/1.1 and no redirects, cookies, netrc, decompression
// or HTTP/0.9; TLS 1.2 and newer; header lines are parsed here, because values must reach the caller byte for byte and
// everything odd about them is refused. Each HttpConnection owns a multi handle, so that a stop wakes it at once.

#include <memory>
#include <mutex>

#include "daemon/registry/http.h"
#include "daemon/registry/network_environment.h"

namespace pullama::registry {

class CurlHttp final : public Http {
 public:
  // Proxies and trusted CAs for all connections; HttpOptions::ca_file replaces the latter.
  explicit CurlHttp(NetworkEnvironment environment);

  // Thread-safe; each connection belongs to one thread.
  std::unique_ptr<HttpConnection> connect(const HttpOptions& options) override;

  // For connections made from now on. Thread-safe.
  void set_environment(NetworkEnvironment environment) {
    const std::lock_guard lock(mutex_);
    environment_ = std::move(environment);
  }

 private:
  NetworkEnvironment environment() {
    const std::lock_guard lock(mutex_);
    return environment_;
  }

  std::mutex mutex_;  // guards environment_
  NetworkEnvironment environment_;
};

}  // namespace pullama::registry
