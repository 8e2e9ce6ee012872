#include "daemon/registry/http_client.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>

#include "daemon/registry/address.h"
#include "daemon/registry/certificate_words.h"
#include "daemon/registry/head_parser.h"
#include "daemon/registry/header_lines.h"
#include "daemon/registry/http_failure.h"

namespace pullama::registry {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = HttpFailure::Kind;

constexpr long kBufferBytes = 512L * 1024;
constexpr int kPollMs = 100;
constexpr const char* kInside = "an address inside is refused";
constexpr std::chrono::milliseconds kTickEvery{100};

bool curl_ready() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

struct SlistDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Slist = std::unique_ptr<curl_slist, SlistDeleter>;

// nullptr where there are no lines, or no memory.
Slist to_slist(const std::vector<std::string>& lines) {
  Slist list;
  for (const auto& line : lines) {
    curl_slist* longer = curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) return nullptr;
    static_cast<void>(list.release());
    list.reset(longer);
  }
  return list;
}

// One request under way: what curl's callbacks see.
struct Exchange {
  const HttpRequest& request;
  HttpHandler& handler;
  const Way way;
  HeadParser parser;
  std::array<char, CURL_ERROR_SIZE> error_text{};
  curl_socket_t socket = CURL_SOCKET_BAD;  // the last that was opened
  bool request_sent = false, address_refused = false, proxy_refused = false, aborted = false;
  Clock::time_point sent_at{};  // when the request, or the last piece of its body, was sent

  static std::size_t on_header(char* data, std::size_t, std::size_t length, void* self) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    const bool peer_is_private = exchange.parser.head().peer_is_private;
    const auto event = exchange.parser.feed({data, length});
    exchange.parser.head().peer_is_private = peer_is_private;
    if (event == HeadParser::Event::kRefused) return 0;
    // Only a proxy says 407; it is no word of the registry's.
    exchange.proxy_refused =
        event == HeadParser::Event::kHead && exchange.way.is_proxied() && exchange.parser.head().status == 407;
    if (exchange.proxy_refused) return 0;
    if (event == HeadParser::Event::kHead && !exchange.handler.on_head(exchange.parser.head())) {
      exchange.aborted = true;
      return 0;
    }
    return length;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t length, void* self) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    exchange.aborted = !exchange.handler.on_body(std::as_bytes(std::span(data, length)));
    return exchange.aborted ? length + 1 : length;  // 0 would be right for an empty piece
  }

  static std::size_t on_read(char* into, std::size_t size, std::size_t count, void* self) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    const auto length = exchange.request.body->read(std::as_writable_bytes(std::span(into, size * count)));
    exchange.sent_at = Clock::now();  // not before: reading may wait for the rate limit
    exchange.aborted = length == HttpBody::kFailed;
    return exchange.aborted ? CURL_READFUNC_ABORT : length;
  }

  static int on_seek(void* self, curl_off_t offset, int) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    return offset == 0 && exchange.request.body->rewind() ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
  }

  static curl_socket_t on_open_socket(void* self, curlsocktype, curl_sockaddr* address) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    if (exchange.request.refuse_private_addresses && !exchange.way.is_proxied() && is_private_address(address->addr)) {
      exchange.address_refused = true;
      return CURL_SOCKET_BAD;
    }
    return exchange.socket = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  }

  // Also for a connection that is used again, whose socket was opened under another request's rules.
  static int on_connected(void* self, char* peer, char*, int, int) noexcept {
    auto& exchange = *static_cast<Exchange*>(self);
    const bool is_private = exchange.way.is_proxied() ? is_private_literal(exchange.way.url.host)
                                                      : is_private_address_text(peer == nullptr ? "" : peer);
    exchange.parser.head().peer_is_private = is_private;
    if (is_private && exchange.request.refuse_private_addresses) {
      exchange.address_refused = true;
      return CURL_PREREQFUNC_ABORT;
    }
    exchange.request_sent = true;
    exchange.sent_at = Clock::now();
    return CURL_PREREQFUNC_OK;
  }
};

class CurlConnection final : public HttpConnection {
 public:
  CurlConnection(const NetworkEnvironment& environment, const HttpOptions& options)
      : environment_(environment), custom_ca_(!options.ca_file.empty()) {
    if (custom_ca_) environment_.cas = {options.ca_file, {}};
  }
  ~CurlConnection() override { close_idle(); }
  CurlConnection(const CurlConnection&) = delete;
  CurlConnection& operator=(const CurlConnection&) = delete;

  void close_idle() override {
    forget_handle();
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
    multi_ = nullptr;
  }

  tl::expected<void, HttpFailure> perform(const HttpRequest& request, HttpHandler& handler,
                                          std::stop_token stop) override {
    const auto url = Url::parse(request.url);
    if (!url) return unsupported(url.error().message);
    Exchange exchange{
        request, handler, Way{*url, environment_.proxy_for(*url)}, {}, {}, CURL_SOCKET_BAD, false, false, false,
        false,   {}};
    // Behind a proxy the socket's address is the proxy's: only what the URL says can be judged.
    if (request.refuse_private_addresses && exchange.way.is_proxied() && is_private_literal(url->host)) {
      return failure(exchange, Kind::kAddressRefused, kInside, Stage::kConnect);
    }
    if (!curl_ready() || !open()) return unsupported("libcurl cannot be initialised");
    const auto headers = to_slist(header_lines(request));
    if (!headers)
      return unsupported("a header of the request to " + url->authority() + " has control characters in it");
    if (!configure(exchange, headers.get())) return unsupported("libcurl refuses the request to " + url->authority());
    if (curl_multi_add_handle(multi_, easy_) != CURLM_OK) return unsupported("libcurl takes no request");
    auto result = run(exchange, stop);
    if (curl_multi_remove_handle(multi_, easy_) != CURLM_OK) close_idle();
    // A handle that failed before it had a connection keeps its buffer, and then refuses options (curl 7.88).
    if (!result) forget_handle();
    return result;
  }

 private:
  static tl::unexpected<HttpFailure> unsupported(std::string message) {
    return tl::unexpected(HttpFailure{Kind::kUnsupportedUrl, Stage::kResolve, std::move(message)});
  }

  // Connections stay: they are the multi handle's.
  void forget_handle() {
    if (easy_ != nullptr) curl_easy_cleanup(easy_);
    easy_ = nullptr;
  }

  bool open() {
    if (multi_ == nullptr) multi_ = curl_multi_init();
    if (easy_ == nullptr) easy_ = curl_easy_init();
    return multi_ != nullptr && easy_ != nullptr;
  }

  template <class Value>
  void set(CURLoption option, Value value) {
    configured_ = curl_easy_setopt(easy_, option, value) == CURLE_OK && configured_;
  }

  bool configure(Exchange& exchange, curl_slist* headers) {
    const auto& request = exchange.request;
    curl_easy_reset(easy_);  // keeps connections
    configured_ = true;
    set(CURLOPT_ERRORBUFFER, exchange.error_text.data());
    set(CURLOPT_URL, exchange.way.url.text.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);
    set(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    set(CURLOPT_BUFFERSIZE, kBufferBytes);
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    // A little later than timed_out(), which can still ask how far it came; curl shares it out over a host's addresses.
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count() + 500));
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_HEADEROPT, static_cast<long>(CURLHEADER_SEPARATE));  // no token for a proxy
    set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    set(CURLOPT_PROXY, exchange.way.proxy.c_str());  // "": none, whatever the environment says
    set(CURLOPT_NOPROXY, "");
    set_trust();
    set_method(exchange);
    set(CURLOPT_HEADERFUNCTION, &Exchange::on_header);
    set(CURLOPT_HEADERDATA, &exchange);
    set(CURLOPT_WRITEFUNCTION, &Exchange::on_body);
    set(CURLOPT_WRITEDATA, &exchange);
    set(CURLOPT_OPENSOCKETFUNCTION, &Exchange::on_open_socket);
    set(CURLOPT_OPENSOCKETDATA, &exchange);
    set(CURLOPT_PREREQFUNCTION, &Exchange::on_connected);
    set(CURLOPT_PREREQDATA, &exchange);
    return configured_;
  }

  void set_trust() {
    const auto& cas = environment_.cas;
    const char* file = cas.file.empty() ? nullptr : cas.file.c_str();
    const char* folder = cas.folder.empty() ? nullptr : cas.folder.c_str();
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_CAINFO, file);
    set(CURLOPT_CAPATH, folder);
    set(CURLOPT_PROXY_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_PROXY_CAINFO, file);
    set(CURLOPT_PROXY_CAPATH, folder);
  }

  void set_method(Exchange& exchange) {
    const auto& request = exchange.request;
    if (request.method == "HEAD") {
      set(CURLOPT_NOBODY, 1L);
    } else if (request.body != nullptr) {
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body->size_bytes()));
      set(CURLOPT_READFUNCTION, &Exchange::on_read);
      set(CURLOPT_READDATA, &exchange);
      set(CURLOPT_SEEKFUNCTION, &Exchange::on_seek);
      set(CURLOPT_SEEKDATA, &exchange);
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    } else if (request.method != "GET") {
      set(CURLOPT_POSTFIELDSIZE, 0L);
      set(CURLOPT_POSTFIELDS, "");
      set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
    }
  }

  tl::expected<void, HttpFailure> run(Exchange& exchange, const std::stop_token& stop) {
    const std::stop_callback wake(stop, [multi = multi_] { static_cast<void>(curl_multi_wakeup(multi)); });
    const auto started = Clock::now();
    auto next_tick = started;
    while (true) {
      int running = 0;
      if (stop.stop_requested()) return failure(exchange, Kind::kStopped, "stopped");
      if (curl_multi_perform(multi_, &running) != CURLM_OK) return failure(exchange, Kind::kClosed, "libcurl failed");
      int queued = 0;
      if (const CURLMsg* message = curl_multi_info_read(multi_, &queued); message != nullptr) {
        return outcome(exchange, message->data.result, stop);
      }
      const auto now = Clock::now();
      if (now >= next_tick) {
        if (!exchange.handler.on_tick()) return failure(exchange, Kind::kAborted, "ended by the receiver");
        next_tick = now + kTickEvery;
      }
      if (auto late = timed_out(exchange, now - started, now)) return tl::unexpected(std::move(*late));
      if (curl_multi_poll(multi_, nullptr, 0, kPollMs, nullptr) != CURLM_OK) {
        return failure(exchange, Kind::kClosed, "libcurl failed");
      }
    }
  }

  std::optional<HttpFailure> timed_out(const Exchange& exchange, Clock::duration elapsed, Clock::time_point now) {
    const auto& request = exchange.request;
    const auto late = [&](Kind kind, std::chrono::milliseconds limit, const char* what) {
      return failure(exchange, kind, not_within(what, limit)).value();
    };
    if (request.total_timeout.count() > 0 && elapsed >= request.total_timeout) {
      return late(Kind::kTotalTimeout, request.total_timeout, "not finished");
    }
    if (!exchange.request_sent && elapsed >= request.connect_timeout) {
      return late(Kind::kTimeout, request.connect_timeout, "no answer");
    }
    if (exchange.request_sent && !exchange.parser.complete() && now - exchange.sent_at >= request.head_timeout) {
      return late(Kind::kTimeout, request.head_timeout, "not complete");
    }
    return std::nullopt;
  }

  Stage stage(const Exchange& exchange) const {
    if (exchange.parser.complete()) return Stage::kBody;
    if (exchange.request_sent) return Stage::kHeaders;
    if (exchange.socket == CURL_SOCKET_BAD) return exchange.address_refused ? Stage::kConnect : Stage::kResolve;
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    const bool connected = ::getpeername(exchange.socket, reinterpret_cast<sockaddr*>(&peer), &length) == 0;
    const bool there = exchange.way.is_proxied() ? number(CURLINFO_HTTP_CONNECTCODE) == 200 : connected;
    return there && exchange.way.url.is_https() ? Stage::kTls : Stage::kConnect;
  }

  tl::unexpected<HttpFailure> failure(const Exchange& exchange, Kind kind, std::string_view why,
                                      std::optional<Stage> at = std::nullopt) const {
    return tl::unexpected(failure_of(exchange.way, kind, at.value_or(stage(exchange)), why));
  }

  static std::string words(const Exchange& exchange, CURLcode code) {
    return safe_words(exchange.error_text.data(), curl_easy_strerror(code));
  }

  long number(CURLINFO what) const {
    long result = 0;
    if (easy_ != nullptr) curl_easy_getinfo(easy_, what, &result);
    return result;
  }

  tl::unexpected<HttpFailure> bad_certificate(const Exchange& exchange) const {
    if (const long proxys = number(CURLINFO_PROXY_SSL_VERIFYRESULT); proxys != 0) {
      auto refused = proxy_failure(exchange.way, Kind::kCertificate, Stage::kTls, certificate_problem(proxys));
      refused.distrust = certificate_distrust(proxys);
      return tl::unexpected(std::move(refused));
    }
    return tl::unexpected(certificate_failure(exchange.way, number(CURLINFO_SSL_VERIFYRESULT), custom_ca_));
  }

  // No connection, no tunnel, or no leave to make one.
  tl::unexpected<HttpFailure> not_connected(const Exchange& exchange, CURLcode code) const {
    if (exchange.address_refused) return failure(exchange, Kind::kAddressRefused, kInside, Stage::kConnect);
    const long proxy_error = code == CURLE_PROXY ? number(CURLINFO_PROXY_ERROR) : 0;
    const bool refused = proxy_error == CURLPX_USER_REJECTED || proxy_error == CURLPX_NO_AUTH;
    const long os_error = code == CURLE_COULDNT_CONNECT ? number(CURLINFO_OS_ERRNO) : 0;
    const auto why = os_error != 0 ? std::string(std::strerror(static_cast<int>(os_error))) : words(exchange, code);
    return failure(exchange, refused ? Kind::kProxyRefused : Kind::kConnect, why, Stage::kConnect);
  }

  tl::expected<void, HttpFailure> outcome(const Exchange& exchange, CURLcode code, const std::stop_token& stop) const {
    if (code == CURLE_OK) {
      if (exchange.parser.complete()) return {};
      return failure(exchange, Kind::kProtocol, "the answer is not HTTP", Stage::kHeaders);
    }
    if (exchange.aborted) return failure(exchange, Kind::kAborted, "ended by the receiver");
    if (!exchange.parser.problem().empty()) return failure(exchange, Kind::kProtocol, exchange.parser.problem());
    if (stop.stop_requested()) return failure(exchange, Kind::kStopped, "stopped");
    const std::string_view text(exchange.error_text.data());
    const auto says = [text](std::string_view part) { return text.find(part) != std::string_view::npos; };
    if (exchange.proxy_refused) return tl::unexpected(proxy_refusal(exchange.way, 407));
    const long tunnel = number(CURLINFO_HTTP_CONNECTCODE);
    if (!exchange.request_sent && tunnel >= 300) return tl::unexpected(proxy_refusal(exchange.way, tunnel));
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
        return failure(exchange, Kind::kDns, "the name cannot be resolved", Stage::kResolve);
      case CURLE_COULDNT_RESOLVE_PROXY:
        return tl::unexpected(proxy_failure(exchange.way, Kind::kDns, Stage::kResolve, "its name cannot be resolved"));
      case CURLE_COULDNT_CONNECT:
      case CURLE_ABORTED_BY_CALLBACK:
      case CURLE_PROXY:
        return not_connected(exchange, code);
      case CURLE_OPERATION_TIMEDOUT:
        return failure(exchange, Kind::kTimeout, "no answer in time");
      case CURLE_PEER_FAILED_VERIFICATION:
        return bad_certificate(exchange);
      case CURLE_SSL_CACERT_BADFILE:
        return tl::unexpected(distrusted(exchange.way, Distrust::kCas, cas_unreadable(environment_.cas)));
      case CURLE_SSL_CONNECT_ERROR:
        if (number(CURLINFO_SSL_VERIFYRESULT) > 1) return bad_certificate(exchange);
        if (const auto why = tls_refusal(text)) return tl::unexpected(distrusted(exchange.way, Distrust::kNoTls, *why));
        return failure(exchange, Kind::kTls, words(exchange, code), Stage::kTls);
      case CURLE_UNSUPPORTED_PROTOCOL:  // HTTP/0.9
      case CURLE_WEIRD_SERVER_REPLY:
      case CURLE_OUT_OF_MEMORY:  // a single line of more than curl's 100 KiB
        return failure(exchange, Kind::kProtocol, words(exchange, code), stage(exchange));
      default:
        if (says("chunk") || says("Content-Length") || says("header")) {
          return failure(exchange, Kind::kProtocol, words(exchange, code));
        }
        return failure(exchange, Kind::kClosed, words(exchange, code));
    }
  }

  NetworkEnvironment environment_;
  const bool custom_ca_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  bool configured_ = true;
};

}  // namespace

CurlHttp::CurlHttp(NetworkEnvironment environment) : environment_(std::move(environment)) {
  static_cast<void>(curl_ready());
}

std::unique_ptr<HttpConnection> CurlHttp::connect(const HttpOptions& options) {
  return std::make_unique<CurlConnection>(environment(), options);
}

}  // namespace pullama::registry
