#include "daemon/registry/requester.h"

#include "daemon/registry/error_text.h"
#include "daemon/registry/redirect.h"
#include "daemon/registry/response.h"

namespace pullama::registry {
namespace {

// A refusal that a new grant may turn. Where a redirect led on the registry itself only with a challenge: without one
// it is a link that has expired.
bool asks_for_grant(const HttpHead& head, const Answer& way) {
  return head.status == 401 && !way.left_registry && (!way.redirected || head.find("WWW-Authenticate") != nullptr);
}

// Decides at the head whether an answer is final. What is not is read to its end, if that is near, so that the
// connection can be kept.
class Gate final : public HttpHandler {
 public:
  Gate(AnswerHandler& handler, const Answer& way, bool redirect_is_final,
       std::function<bool(const HttpHead&)> may_refresh, const io::Clock& clock)
      : handler_(handler),
        way_(way),
        redirect_is_final_(redirect_is_final),
        may_refresh_(std::move(may_refresh)),
        guard_(clock) {}

  bool on_head(const HttpHead& head) override {
    head_ = head;
    guard_.begin();
    const bool redirect = is_redirect(head.status) && !redirect_is_final_;
    final_ = !(redirect || (asks_for_grant(head, way_) && may_refresh_(head)));
    return !final_ || handler_.on_head(head, way_);
  }
  bool on_body(std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    guard_.gained(bytes.size());
    if (final_) return handler_.on_body(bytes);
    if (bytes_ > kMaxErrorBodyBytes) return false;
    body_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }
  bool on_tick() override {
    if (head_.status != 0 && !final_) return guard_.still_moving();
    return handler_.on_tick();
  }

  const HttpHead& head() const { return head_; }
  bool is_final() const { return final_; }
  std::uint64_t bytes() const { return bytes_; }
  std::string& body() { return body_; }  // of an answer that is not final

 private:
  AnswerHandler& handler_;
  const Answer& way_;
  const bool redirect_is_final_;
  const std::function<bool(const HttpHead&)> may_refresh_;
  DripGuard guard_;
  HttpHead head_;
  bool final_ = false;
  std::uint64_t bytes_ = 0;
  std::string body_;
};

AuthOptions auth_options(const Url& registry, const RegistryOptions& options, const Manner& manner) {
  return {registry,           options.user_agent.empty() ? default_user_agent() : options.user_agent,
          options.on_request, options.on_token_refresh,
          options.push,       manner.may_sign};
}

class TextHandler final : public AnswerHandler {
 public:
  TextHandler(const io::Clock& clock, std::uint64_t max_bytes) : reader_(clock, max_bytes) {}
  bool on_head(const HttpHead& head, const Answer&) override { return reader_.on_head(head); }
  bool on_body(std::span<const std::byte> bytes) override { return reader_.on_body(bytes); }
  bool on_tick() override { return reader_.on_tick(); }
  Response& response() { return reader_.response(); }

 private:
  ResponseReader reader_;
};

}  // namespace

Requester::Requester(const io::Clock& clock, const Credentials& credentials, Url registry, RegistryOptions options,
                     Manner manner)
    : clock_(clock),
      registry_(std::move(registry)),
      options_(std::move(options)),
      manner_(manner),
      authenticator_(clock, credentials, auth_options(registry_, options_, manner_)) {}

std::string Requester::user_agent() const {
  if (names_ollama_) return user_agent_with_ollama();
  return options_.user_agent.empty() ? default_user_agent() : options_.user_agent;
}

void Requester::name_ollama() { names_ollama_ = true; }

void Requester::note_without_ranges(const std::string& authority) {
  const std::lock_guard lock(mutex_);
  without_ranges_.insert(authority);
}

bool Requester::without_ranges(const std::string& authority) const {
  const std::lock_guard lock(mutex_);
  return without_ranges_.contains(authority);
}

bool Requester::refuse_private(bool redirected) const {
  return redirected && registry_is_public_ && !options_.insecure;
}

Outcome<Answer> Requester::send(HttpConnection& connection, const Ask& ask, AnswerHandler& handler,
                                std::stop_token stop) {
  auto grant = authenticator_.grant(ask.repository);
  for (int refreshes = 0;; ++refreshes) {
    // A second one only where the first could not be enough: another connection had asked for less.
    const auto may_refresh = [&](const HttpHead& refusal) {
      return refreshes == 0 || (refreshes == 1 && !authenticator_.covers(grant, refusal));
    };
    if (refreshes > 0 && ask.body != nullptr && !ask.body->rewind()) {
      return tl::unexpected(make_fault(Fault::Kind::kSink, ErrorCode::kInternal, "the body cannot be sent again"));
    }
    auto answer = follow(connection, ask, grant, may_refresh, handler, stop);
    if (!answer || !asks_for_grant(answer->head, *answer) || !may_refresh(answer->head)) return answer;
    auto fresh = authenticator_.refresh(connection, ask.repository, grant, {answer->head, answer->refusal},
                                        refuse_private(true), stop);
    if (!fresh) return tl::unexpected(fresh.error());
    grant = std::move(*fresh);
  }
}

Outcome<Answer> Requester::follow(HttpConnection& connection, const Ask& ask, const Grant& grant,
                                  const MayRefresh& may_refresh, AnswerHandler& handler, const std::stop_token& stop) {
  Answer answer;
  answer.from = ask.url;
  answer.redirected = ask.redirected;
  answer.left_registry = ask.left_registry;
  for (unsigned hops = 0;; ++hops) {
    HttpRequest request;
    request.method = ask.method;
    request.body = ask.body;
    request.url = answer.from.text;
    request.headers = ask.headers;
    request.headers.push_back({"User-Agent", user_agent()});
    request.headers.push_back({"Accept-Encoding", "identity"});
    if (ask.range) {
      request.headers.push_back(
          {"Range", "bytes=" + std::to_string(ask.range->first) + "-" + std::to_string(ask.range->last)});
    }
    answer.left_registry = answer.left_registry || !may_send_authorization(registry_, answer.from);
    const bool shows_grant = !ask.without_authorization && !answer.left_registry;
    answer.grant = shows_grant ? grant.number : 0;
    if (!grant.header.empty() && shows_grant) {
      request.headers.push_back({"Authorization", grant.header});
    }
    request.total_timeout = ask.total_timeout;
    request.connect_timeout = manner_.connect_timeout;
    request.head_timeout = manner_.head_timeout.value_or(ask.head_timeout);
    request.refuse_private_addresses = refuse_private(answer.redirected);

    Gate gate(handler, answer, ask.redirect_is_final, may_refresh, clock_);
    const auto begun = clock_.now();
    const auto done = connection.perform(request, gate, stop);
    answer.head = gate.head();
    if (options_.on_request) {
      options_.on_request({request.method, answer.from.authority(), answer.from.path(), ask.range, answer.head.status,
                           gate.bytes(), std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - begun)});
    }
    if (answer.head.status != 0 && !answer.redirected && !answer.head.peer_is_private) registry_is_public_ = true;
    if (!done && (done.error().kind == HttpFailure::Kind::kStopped || answer.head.status == 0)) {
      return tl::unexpected(fault_of(done.error()));
    }
    if (gate.is_final()) {
      if (!done) answer.failure = done.error();
      return answer;
    }
    if (answer.head.status == 401) {
      answer.refusal = std::move(gate.body());
      return answer;
    }
    const bool reads = ask.method == "GET" || ask.method == "HEAD";
    const bool keeps_method = answer.head.status == 307 || answer.head.status == 308;
    if (!reads && (!keeps_method || (ask.body != nullptr && !ask.body->rewind()))) {
      return tl::unexpected(make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork,
                                       answer.from.authority() + " redirects a " + ask.method + " with a " +
                                           std::to_string(answer.head.status) + ", which is refused",
                                       answer.head.status));
    }
    const auto* location = answer.head.find("Location");
    auto target = resolve_redirect(answer.from, location == nullptr ? std::string_view{} : *location);
    if (!target) {
      return tl::unexpected(
          make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork, target.error().message, answer.head.status));
    }
    if (hops == kMaxRedirects) {
      return tl::unexpected(make_fault(Fault::Kind::kPermanent, ErrorCode::kNetwork,
                                       registry_.authority() + " redirects more than 10 times", answer.head.status));
    }
    answer.from = std::move(*target);
    answer.redirected = true;
  }
}

Outcome<Requester::Text> Requester::send_text(HttpConnection& connection, const Ask& ask, std::uint64_t max_bytes,
                                              std::stop_token stop) {
  TextHandler handler(clock_, max_bytes);
  auto answer = send(connection, ask, handler, std::move(stop));
  if (!answer) return tl::unexpected(answer.error());
  auto& response = handler.response();
  const auto status = answer->head.status;
  // A refusal needs no whole body.
  if (status == 200 && answer->failure && !response.too_long) {
    if (!response.too_slow) return tl::unexpected(fault_of(*answer->failure, status));
    return tl::unexpected(make_fault(Fault::Kind::kTransient, ErrorCode::kNetwork,
                                     "body from " + answer->from.authority() + ": it comes too slowly to be of use",
                                     status));
  }
  return Text{std::move(*answer), std::move(response.body), response.too_long};
}

std::string Requester::refusal_text(std::string_view what, const Answer& answer, std::string_view body) const {
  const auto words = error_text(authenticator_.redacted(std::string(body.substr(0, kMaxErrorBodyBytes))));
  return std::string(what) + ": " + answer.from.authority() + " answers " + std::to_string(answer.head.status) +
         (words.empty() ? "" : ": " + words);
}

}  // namespace pullama::registry
