#pragma once
// The sentence in which a failed request says how far it came, to whom it went, and through which proxy. Pure.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/registry/http.h"
#include "daemon/registry/network_environment.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

// Where a request goes: to the URL's host, by way of the proxy where one is named (as in the environment; its user
// info is never shown).
struct Way {
  const Url& url;
  std::string proxy;
  bool is_proxied() const { return !proxy.empty(); }
};

// "connect to h:443 through the proxy http://p:3128: why".
HttpFailure failure_of(const Way& way, HttpFailure::Kind kind, Stage stage, std::string_view why);

// By OpenSSL's number, see certificate_words.h; names --ca-file where it helps and is not given yet.
HttpFailure certificate_failure(const Way& way, long result, bool has_ca_file);
// Another kCertificate.
HttpFailure distrusted(const Way& way, Distrust distrust, std::string_view why);

// Where the proxy itself is what fails: "resolve the proxy http://p:3128: why".
HttpFailure proxy_failure(const Way& way, HttpFailure::Kind kind, Stage stage, std::string_view why);

// The proxy answered a tunnel, or a plain request, with this status: 403 and 407 are final, for asking again changes
// neither, anything else may pass.
HttpFailure proxy_refusal(const Way& way, long status);

// What libcurl says, printable; `otherwise` where it says nothing or could repeat a proxy's password.
std::string safe_words(std::string_view text, std::string_view otherwise);

// Where libcurl's words about a handshake mean that no TLS will ever come about, a sentence that says so.
std::optional<std::string> tls_refusal(std::string_view text);

std::string cas_unreadable(const TrustedCas& cas);

// "not finished within 3 s".
std::string not_within(std::string_view what, std::chrono::milliseconds limit);

}  // namespace pullama::registry
