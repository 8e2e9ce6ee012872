#include "daemon/registry/auth.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/duration_text.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/base64.h"
#include "daemon/registry/error_text.h"
#include "daemon/registry/http_date.h"

namespace pullama::registry {
namespace {

// A token's ts is compared with the server's clock; how much it forgives is not known, this much is worth a word.
constexpr std::chrono::seconds kNotableSkew{120};
// Taking out a shorter one would spoil the words, and hints at what it is.
constexpr std::size_t kNotablePassword = 4;
// A registry's challenges cannot make a token request grow without bound.
constexpr std::size_t kMaxScopes = 16;

std::vector<Challenge> challenges_of(const HttpHead& head) {
  std::vector<std::string_view> values;
  for (const auto& header : head.headers) {
    if (equals_ignoring_case(header.name, "WWW-Authenticate")) values.push_back(header.value);
  }
  return parse_challenges(values);
}

const Challenge* find_scheme(const std::vector<Challenge>& challenges, std::string_view scheme) {
  const auto found = std::find_if(challenges.begin(), challenges.end(),
                                  [scheme](const Challenge& challenge) { return challenge.scheme == scheme; });
  return found == challenges.end() ? nullptr : &*found;
}

// The first whose token service may be asked, else the first, which says why not.
const Challenge* find_bearer(const Url& registry, const std::vector<Challenge>& challenges) {
  const auto found = std::find_if(challenges.begin(), challenges.end(), [&](const Challenge& challenge) {
    return challenge.scheme == "bearer" && judge_realm(registry, challenge.realm);
  });
  return found == challenges.end() ? find_scheme(challenges, "bearer") : &*found;
}

std::string joined(std::string text, const std::string& more) {
  if (!more.empty()) text += (text.empty() ? "" : "; ") + more;
  return text;
}

// Text without what an Authorization header holds: token, signature, or login and password.
std::string without_secrets(std::string text, const std::string& authorization) {
  const auto hide = [&text](std::string_view secret) {
    for (auto at = secret.empty() ? std::string::npos : text.find(secret); at != std::string::npos;
         at = text.find(secret, at)) {
      text.replace(at, secret.size(), "…");
    }
  };
  const std::string secret = authorization.substr(authorization.find(' ') + 1);
  hide(secret);
  if (!authorization.starts_with("Basic ")) return text;
  const auto login = from_base64(secret).value_or("");
  const auto colon = login.find(':');
  if (colon != std::string::npos && login.size() - colon > kNotablePassword) hide(login.substr(colon + 1));
  return text;
}

}  // namespace

Authenticator::Authenticator(const io::Clock& clock, const Credentials& credentials, AuthOptions options)
    : clock_(clock), credentials_(credentials), options_(std::move(options)) {}

Grant Authenticator::grant(const std::string& repository) const {
  const std::lock_guard lock(mutex_);
  const auto state = states_.find(repository);
  return state == states_.end() ? Grant{} : state->second.grant;
}

Outcome<Grant> Authenticator::refresh(HttpConnection& connection, const std::string& repository, const Grant& used,
                                      const Refusal& refusal, bool refuse_private_realm, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  State& state = states_[repository];  // never erased, so the reference lives
  const auto failures = state.failures;
  if (!changed_.wait(lock, stop, [&] { return !state.refreshing; })) {
    return tl::unexpected(make_fault(Fault::Kind::kStopped, ErrorCode::kCancelled, "stopped"));
  }
  if (state.grant.number != used.number) return state.grant;
  if (state.failures != failures) return tl::unexpected(state.last_failure);
  state.refreshing = true;
  lock.unlock();
  auto obtained = obtain(connection, repository, used, refusal, refuse_private_realm, stop);
  lock.lock();
  state.refreshing = false;
  changed_.notify_all();
  if (!obtained) {
    // A stop is this worker's own affair: the next one tries by itself.
    if (obtained.error().kind != Fault::Kind::kStopped) {
      ++state.failures;
      state.last_failure = obtained.error();
    }
    return tl::unexpected(obtained.error());
  }
  state.grant = {std::move(obtained->header), used.number + 1, std::move(obtained->scopes)};
  state.note = std::move(obtained->note);
  const auto granted = state.grant;
  const int replaced = used.number == 0 ? 0 : ++state.replaced;
  lock.unlock();
  if (replaced > 0 && options_.on_token_refresh) options_.on_token_refresh(replaced);
  return granted;
}

// Actions of "repository:<name>:<actions>" with pull and push among them.
std::vector<std::string> Authenticator::wanted_scopes(const std::string& repository,
                                                      const std::vector<std::string>& named, const Grant& used) const {
  if (!options_.push) return named;
  std::vector<std::string> wanted;
  const auto add = [&](std::string scope) {
    if (wanted.size() < kMaxScopes && std::find(wanted.begin(), wanted.end(), scope) == wanted.end()) {
      wanted.push_back(std::move(scope));
    }
  };
  const auto own = "repository:" + repository + ":";
  const auto widened = [&](const std::string& scope) {
    return scope == own + "pull" || scope == own + "push" || scope == own + "push,pull" ? own + "pull,push" : scope;
  };
  for (const auto& scope : named) add(widened(scope));
  for (const auto& scope : used.scopes) add(scope);
  return wanted;
}

bool Authenticator::covers(const Grant& grant, const HttpHead& refusal) const {
  const auto challenges = challenges_of(refusal);
  const auto* bearer = find_bearer(options_.registry, challenges);
  if (!options_.push || bearer == nullptr) return true;
  // What is widened is covered in its own right.
  const auto has = [&](const std::string& scope) {
    return std::find(grant.scopes.begin(), grant.scopes.end(), scope) != grant.scopes.end();
  };
  return std::all_of(bearer->scopes.begin(), bearer->scopes.end(), [&](const std::string& scope) {
    const auto actions = scope.rfind(':');
    return has(scope) || (actions != std::string::npos && has(scope.substr(0, actions) + ":pull,push"));
  });
}

Outcome<Authenticator::Obtained> Authenticator::obtain(HttpConnection& connection, const std::string& repository,
                                                       const Grant& used, const Refusal& refusal,
                                                       bool refuse_private_realm, const std::stop_token& stop) const {
  const auto challenges = challenges_of(refusal.head);
  const auto* found = find_bearer(options_.registry, challenges);
  const bool basic = find_scheme(challenges, "basic") != nullptr;
  if (found != nullptr) {
    const auto realm = judge_realm(options_.registry, found->realm);
    if (realm) {
      auto bearer = *found;
      bearer.scopes = wanted_scopes(repository, bearer.scopes, used);
      auto obtained = obtain_token(connection, bearer, *realm, refuse_private_realm, stop);
      if (obtained) obtained->scopes = std::move(bearer.scopes);
      return obtained;
    }
    if (!basic) return tl::unexpected(no_way_in(realm.error().message, refusal));
  }
  if (basic) return obtain_basic(used, refusal);
  return tl::unexpected(
      no_way_in(options_.registry.authority() + " refuses access and names no way to log in", refusal));
}

// Nothing better than the registry's own words is known of why.
Fault Authenticator::no_way_in(std::string message, const Refusal& refusal) const {
  const auto words = error_text(redacted(std::string(refusal.body)));
  return no_access(words.empty() ? std::move(message) : message + ": " + words, 401);
}

Outcome<Authenticator::Obtained> Authenticator::obtain_basic(const Grant& used, const Refusal& refusal) const {
  const auto& host = options_.registry.authority();
  const auto& file = credentials_.paths().docker_config;
  const auto basic = credentials_.basic(host);
  auto header = basic && *basic ? "Basic " + **basic : std::string();
  if (!header.empty() && header != used.header) return Obtained{std::move(header), {}, {}};
  auto message = host + " wants a user name and password, and ";
  if (!basic) {
    message += basic.error().message;
  } else if (!*basic) {
    message += file + " has none for it";
  } else {
    message = host + " refuses the user name and password that " + file + " has for it";
  }
  auto fault = no_way_in(std::move(message), refusal);
  fault.error.hint = "run 'docker login " + host + "' as user " + credentials_.paths().user;
  return tl::unexpected(std::move(fault));
}

Outcome<Authenticator::Obtained> Authenticator::obtain_token(HttpConnection& connection, const Challenge& challenge,
                                                             const Realm& realm, bool refuse_private_realm,
                                                             const std::stop_token& stop) const {
  const auto ask = [&](const std::string& url, const std::string& authorization) {
    return ask_for_token(connection, url, authorization, refuse_private_realm, stop);
  };
  const auto plain = token_url(realm, challenge);
  std::string note;
  // What the user set for this registry, or for that very token service.
  auto basic = credentials_.basic(realm.may_sign ? options_.registry.authority() : realm.url.authority());
  if (!basic) note = basic.error().message;
  if (basic && *basic) {
    auto token = ask(plain, "Basic " + **basic);
    if (!token) return tl::unexpected(token.error());
    return Obtained{"Bearer " + *token, {}, {}};
  }
  if (realm.may_sign && options_.may_sign) {
    const auto key = credentials_.key();
    if (key) {
      const auto now = std::chrono::floor<std::chrono::seconds>(clock_.wall()).time_since_epoch().count();
      const auto url = signed_token_url(realm, challenge, now, random_nonce());
      auto token = ask(url, signature_header(**key, url));
      if (token) return Obtained{"Bearer " + *token, {}, {}};
      if (token.error().kind != Fault::Kind::kPermanent) return tl::unexpected(token.error());
      note = joined(note, token.error().error.message + " for the key " + credentials_.paths().key_file);
    } else if (key.error().code == ErrorCode::kNotFound) {
      note = joined(note, "there is no key at " + credentials_.paths().key_file + " (user " +
                              credentials_.paths().user + ", whom the daemon runs as)");
    } else {
      note = joined(note, key.error().message);
    }
  }
  auto token = ask(plain, {});
  if (token) return Obtained{"Bearer " + *token, std::move(note), {}};
  auto fault = token.error();
  if (fault.kind == Fault::Kind::kPermanent) fault.error.message = joined(fault.error.message, note);
  return tl::unexpected(std::move(fault));
}

Outcome<std::string> Authenticator::ask_for_token(HttpConnection& connection, const std::string& url,
                                                  const std::string& authorization, bool refuse_private_realm,
                                                  const std::stop_token& stop) const {
  HttpRequest request;
  request.url = url;
  request.headers = {{"User-Agent", options_.user_agent}, {"Accept-Encoding", "identity"}};
  if (!authorization.empty()) request.headers.push_back({"Authorization", authorization});
  request.refuse_private_addresses = refuse_private_realm;
  auto response = perform_small(connection, request, kMaxTokenResponseBytes, clock_, options_.trace, stop);
  if (!response) return tl::unexpected(response.error());
  const auto parsed = Url::parse(url);
  const auto service = "the token service " + (parsed ? parsed->authority() : std::string("?"));
  const int status = response->head.status;
  if (status >= 400) {
    const auto words = error_text(without_secrets(response->body, authorization));
    auto message = service + " answers " + std::to_string(status) + (words.empty() ? "" : ": " + words);
    auto fault = fault_of_status(response->head, std::move(message), clock_.wall());
    if (fault.kind == Fault::Kind::kPermanent) {
      fault = no_access(joined(fault.error.message, clock_note(response->head)), status);
    }
    return tl::unexpected(std::move(fault));
  }
  if (status >= 300) {
    return tl::unexpected(no_access(service + " redirects, which is refused", status));
  }
  if (response->too_long) return tl::unexpected(no_access(service + " sends more than 1 MiB", status));
  if (is_encoded(response->head)) return tl::unexpected(no_access(service + " sends a compressed answer", status));
  auto token = parse_token(response->body);
  if (!token) return tl::unexpected(no_access(service + " gives no token: " + token.error().message, status));
  return std::move(*token);
}

Fault Authenticator::denied(const std::string& repository, const HttpHead& refusal, std::string_view body) const {
  std::string note;
  bool basic = false;
  {
    const std::lock_guard lock(mutex_);
    if (const auto state = states_.find(repository); state != states_.end()) {
      note = state->second.note;
      basic = state->second.grant.header.starts_with("Basic ");
    }
  }
  const auto words = error_text(redacted(std::string(body)));
  auto message = options_.registry.authority() + " denies access to " + repository;
  if (!words.empty()) message += ": " + words;
  if (basic) note = joined(note, "the user name and password are from " + credentials_.paths().docker_config);
  return no_access(joined(joined(std::move(message), note), clock_note(refusal)), refusal.status);
}

std::string Authenticator::redacted(std::string text) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [repository, state] : states_) text = without_secrets(std::move(text), state.grant.header);
  return text;
}

Fault Authenticator::no_access(std::string message, int status) const {
  return make_fault(Fault::Kind::kPermanent, ErrorCode::kAuthFailed, std::move(message), status,
                    credentials_.key_hint());
}

std::string Authenticator::clock_note(const HttpHead& head) const {
  const auto* header = head.find("Date");
  const auto date = header == nullptr ? std::nullopt : parse_http_date(*header);
  if (!date) return {};
  const auto skew = std::chrono::floor<std::chrono::seconds>(clock_.wall()) - *date;
  if (skew < kNotableSkew && -skew < kNotableSkew) return {};
  const bool ahead = skew.count() > 0;
  return "this machine's clock is " + format_duration(ahead ? skew : -skew) + (ahead ? " ahead of" : " behind") +
         " the server's, set it right";
}

}  // namespace pullama::registry
