#pragma once
// Http without a network: answers are laid out a URL in order, requests are kept for looking at. Thread-safe.

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "daemon/registry/http.h"

namespace pullama::testing {

struct FakeReply {
  int status = 200;
  std::vector<registry::Header> headers = {};
  std::string body = {};
  bool peer_is_private = false;
  // Instead of an answer, or after the body where `status` is not 0.
  std::optional<registry::HttpFailure::Kind> failure = std::nullopt;
  std::size_t piece_bytes = 7;                 // how the body is cut
  unsigned ticks_after_body = 0;               // the server falls silent for so many ticks before the end
  std::function<void()> on_request = nullptr;  // runs before anything is answered
};

struct SeenRequest {
  std::string method, url;
  std::vector<registry::Header> headers;
  bool refuse_private_addresses = false;
  // Empty where there was none.
  std::string header(std::string_view name) const;
};

class FakeHttp final : public registry::Http {
 public:
  // The next answer to a request for exactly this URL; "…*" for all that begin so. An URL without answers left fails.
  void reply(const std::string& url, FakeReply reply);

  std::vector<SeenRequest> seen() const;
  std::size_t count(std::string_view url_start) const;
  bool all_used() const;

  std::unique_ptr<registry::HttpConnection> connect(const registry::HttpOptions& options) override;
  std::string ca_file() const;

 private:
  class Connection;
  FakeReply take(const registry::HttpRequest& request);

  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, std::queue<FakeReply>> replies_;
  std::vector<SeenRequest> seen_;
  std::string ca_file_;
};

}  // namespace pullama::testing
