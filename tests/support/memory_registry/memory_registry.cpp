#include "tests/support/memory_registry/memory_registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <thread>

#include "daemon/io/sha256.h"

namespace pullama::testing {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

class MemoryConnection final : public registry::HttpConnection {
 public:
  explicit MemoryConnection(MemoryRegistry& registry) : registry_(registry) {}

  tl::expected<void, registry::HttpFailure> perform(const registry::HttpRequest& http, registry::HttpHandler& handler,
                                                    std::stop_token stop) override {
    if (MemoryUploads::takes(http)) return registry_.uploads_.perform(http, handler, stop);
    Request request;
    request.method = http.method;
    request.url = http.url;
    request.headers = http.headers;
    const auto host_at = http.url.find("://") + 3;
    const auto path_at = http.url.find('/', host_at);
    request.host = http.url.substr(host_at, path_at - host_at);
    request.path = http.url.substr(path_at, http.url.find('?', path_at) - path_at);
    for (const auto& header : http.headers) {
      if (header.name != "Range") continue;
      std::uint64_t first = 0, last = 0;
      const char* end = header.value.data() + header.value.size();
      const auto dash = std::from_chars(header.value.data() + 6, end, first).ptr;
      std::from_chars(dash + 1, end, last);
      request.first = first;
      request.last = last;
    }
    Answer answer = registry_.answer(request);
    Served served{request.path, request.first, request.last, answer.status, 0};
    const auto result = deliver(answer, handler, stop, served);
    const std::lock_guard lock(registry_.mutex_);
    registry_.log_.push_back(served);
    if (!result) return tl::unexpected(result.error());
    return {};
  }

  void close_idle() override {}

 private:
  tl::expected<void, registry::HttpFailure> deliver(const Answer& answer, registry::HttpHandler& handler,
                                                    const std::stop_token& stop, Served& served) {
    using Kind = registry::HttpFailure::Kind;
    const auto failed = [](Kind kind, std::string text) {
      return tl::unexpected(registry::HttpFailure{kind, registry::Stage::kBody, std::move(text)});
    };
    if (stop.stop_requested()) return failed(Kind::kStopped, "stopped");
    while (answer.silent) {
      if (stop.stop_requested()) return failed(Kind::kStopped, "stopped");
      if (!handler.on_tick()) return failed(Kind::kAborted, "the handler gave up");
      std::this_thread::yield();
    }
    registry::HttpHead head;
    head.status = answer.status;
    head.headers = answer.headers;
    head.peer_is_private = true;
    if (!handler.on_head(head)) return failed(Kind::kAborted, "the handler gave up");
    std::string_view body = answer.body;
    if (answer.close_after) body = body.substr(0, *answer.close_after);
    while (!body.empty()) {
      if (stop.stop_requested()) return failed(Kind::kStopped, "stopped");
      std::string_view piece;
      std::function<void(std::uint64_t)> on_piece;
      std::uint64_t total = 0;
      {
        const std::lock_guard lock(registry_.mutex_);
        piece = body.substr(0, registry_.piece_bytes_);
        body.remove_prefix(piece.size());
        served.bytes += piece.size();
        if (served.path.find("/blobs/") != std::string::npos) registry_.blob_bytes_ += piece.size();
        total = registry_.blob_bytes_;
        on_piece = registry_.on_piece_;
      }
      if (on_piece) on_piece(total);
      if (!handler.on_body(std::as_bytes(std::span(piece.data(), piece.size())))) {
        return failed(Kind::kAborted, "the handler gave up");
      }
      if (!handler.on_tick()) return failed(Kind::kAborted, "the handler gave up");
    }
    if (answer.close_after && *answer.close_after < answer.body.size()) {
      return failed(Kind::kClosed, "body from memory: the connection was closed");
    }
    return {};
  }

  MemoryRegistry& registry_;
};

Digest MemoryRegistry::add_blob(std::string content) {
  const Digest digest = io::sha256(bytes_of(content));
  const std::lock_guard lock(mutex_);
  blobs_[digest.str()] = std::move(content);
  return digest;
}

void MemoryRegistry::add_manifest(const std::string& repository, const std::string& tag, std::string json) {
  const std::lock_guard lock(mutex_);
  manifests_["/v2/" + repository + "/manifests/" + tag] = std::move(json);
}

std::string MemoryRegistry::add_model(const std::string& repository, const std::string& tag,
                                      const std::vector<std::string>& blobs) {
  std::string layers;
  for (std::size_t i = 0; i + 1 < blobs.size(); ++i) {
    layers += fmt::format(R"({}{{"mediaType":"application/vnd.ollama.image.model","digest":"{}","size":{}}})",
                          i == 0 ? "" : ",", add_blob(blobs[i]).str(), blobs[i].size());
  }
  std::string json = fmt::format(
      R"({{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
      R"("config":{{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"{}","size":{}}},"layers":[{}]}})",
      add_blob(blobs.back()).str(), blobs.back().size(), layers);
  add_manifest(repository, tag, json);
  return json;
}

void MemoryRegistry::set_chunksums(const Digest& digest, std::string text) {
  const std::lock_guard lock(mutex_);
  chunksums_[digest.str()] = std::move(text);
}

void MemoryRegistry::set_hook(Hook hook) {
  const std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

void MemoryRegistry::set_on_piece(std::function<void(std::uint64_t)> on_piece) {
  const std::lock_guard lock(mutex_);
  on_piece_ = std::move(on_piece);
}

void MemoryRegistry::set_piece_bytes(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  piece_bytes_ = bytes;
}

std::vector<Served> MemoryRegistry::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::uint64_t MemoryRegistry::blob_bytes_served() const {
  const std::lock_guard lock(mutex_);
  return blob_bytes_;
}

std::unique_ptr<registry::HttpConnection> MemoryRegistry::connect(const registry::HttpOptions&) {
  return std::make_unique<MemoryConnection>(*this);
}

Answer MemoryRegistry::answer(const Request& original) {
  Request request = original;
  Answer answer;
  answer.status = 404;
  answer.body = R"({"errors":[{"code":"NAME_UNKNOWN","message":"no such thing"}]})";
  Hook hook;
  {
    const std::lock_guard lock(mutex_);
    request.number = ++requests_;
    hook = hook_;
    const std::string name = request.path.substr(request.path.rfind('/') + 1);
    if (const auto manifest = manifests_.find(request.path); manifest != manifests_.end()) {
      answer = Answer{200, {}, manifest->second, std::nullopt, false};
    } else if (request.path.find("/chunksums/") != std::string::npos) {
      if (const auto sums = chunksums_.find(name); sums != chunksums_.end()) {
        answer = Answer{200, {}, sums->second, std::nullopt, false};
      }
    } else if (const auto blob = blobs_.find(name); blob != blobs_.end()) {
      const std::string& content = blob->second;
      if (!request.first) {
        answer = Answer{200, {}, content, std::nullopt, false};
      } else if (*request.first >= content.size()) {
        answer = Answer{416, {{"Content-Range", fmt::format("bytes */{}", content.size())}}, "", std::nullopt, false};
      } else {
        const std::uint64_t last = std::min<std::uint64_t>(*request.last, content.size() - 1);
        answer = Answer{206,
                        {{"Content-Range", fmt::format("bytes {}-{}/{}", *request.first, last, content.size())}},
                        content.substr(*request.first, last - *request.first + 1),
                        std::nullopt,
                        false};
      }
    }
  }
  if (hook) hook(request, answer);
  if (std::none_of(answer.headers.begin(), answer.headers.end(),
                   [](const auto& header) { return header.name == "Content-Length"; })) {
    answer.headers.push_back({"Content-Length", std::to_string(answer.body.size())});
  }
  return answer;
}

}  // namespace pullama::testing
