#include "tests/support/http/fake_http.h"

#include <algorithm>

namespace pullama::testing {

using registry::HttpFailure;
using registry::Stage;

std::string SeenRequest::header(std::string_view name) const {
  for (const auto& header : headers) {
    if (header.name == name) return header.value;
  }
  return {};
}

class FakeHttp::Connection final : public registry::HttpConnection {
 public:
  explicit Connection(FakeHttp& http) : http_(http) {}

  tl::expected<void, HttpFailure> perform(const registry::HttpRequest& request, registry::HttpHandler& handler,
                                          std::stop_token stop) override {
    const auto ended = [](HttpFailure::Kind kind, Stage stage) {
      return tl::unexpected(HttpFailure{kind, stage, "the fake ended it"});
    };
    const auto reply = http_.take(request);
    if (reply.on_request) reply.on_request();
    if (stop.stop_requested()) return ended(HttpFailure::Kind::kStopped, Stage::kHeaders);
    if (!handler.on_tick()) return ended(HttpFailure::Kind::kAborted, Stage::kConnect);
    if (reply.failure && reply.status == 0) return ended(*reply.failure, Stage::kConnect);
    registry::HttpHead head;
    head.status = reply.status;
    head.headers = reply.headers;
    head.peer_is_private = reply.peer_is_private;
    if (!handler.on_head(head)) return ended(HttpFailure::Kind::kAborted, Stage::kBody);
    for (std::size_t at = 0; at < reply.body.size(); at += reply.piece_bytes) {
      const auto piece = std::string_view(reply.body).substr(at, reply.piece_bytes);
      if (!handler.on_body(std::as_bytes(std::span(piece)))) return ended(HttpFailure::Kind::kAborted, Stage::kBody);
    }
    for (unsigned i = 0; i < reply.ticks_after_body; ++i) {
      if (!handler.on_tick()) return ended(HttpFailure::Kind::kAborted, Stage::kBody);
    }
    if (reply.failure) return ended(*reply.failure, Stage::kBody);
    return {};
  }

  void close_idle() override {}

 private:
  FakeHttp& http_;
};

void FakeHttp::reply(const std::string& url, FakeReply reply) {
  const std::lock_guard lock(mutex_);
  replies_[url].push(std::move(reply));
}

FakeReply FakeHttp::take(const registry::HttpRequest& request) {
  const std::lock_guard lock(mutex_);
  seen_.push_back({request.method, request.url, request.headers, request.refuse_private_addresses});
  for (auto& [url, queue] : replies_) {
    const bool matches =
        url.ends_with('*') ? request.url.starts_with(url.substr(0, url.size() - 1)) : request.url == url;
    if (!matches || queue.empty()) continue;
    auto reply = std::move(queue.front());
    queue.pop();
    return reply;
  }
  FakeReply nothing;
  nothing.status = 0;
  nothing.failure = HttpFailure::Kind::kConnect;
  return nothing;
}

std::vector<SeenRequest> FakeHttp::seen() const {
  const std::lock_guard lock(mutex_);
  return seen_;
}

std::size_t FakeHttp::count(std::string_view url_start) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      seen_.begin(), seen_.end(), [&](const auto& request) { return request.url.starts_with(url_start); }));
}

bool FakeHttp::all_used() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(replies_.begin(), replies_.end(), [](const auto& entry) { return entry.second.empty(); });
}

std::unique_ptr<registry::HttpConnection> FakeHttp::connect(const registry::HttpOptions& options) {
  const std::lock_guard lock(mutex_);
  ca_file_ = options.ca_file;
  return std::make_unique<Connection>(*this);
}

std::string FakeHttp::ca_file() const {
  const std::lock_guard lock(mutex_);
  return ca_file_;
}

}  // namespace pullama::testing
