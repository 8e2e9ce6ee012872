#pragma once
// The request that a Bearer challenge asks for, in Ollama's signed form and in the plain one of OCI registries
// (registry-protocol.md sections 4.3 and 4.7), the rule about whom a realm may make us ask (section 4.4, security.md
// row 3), and the answer. Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "daemon/registry/challenge.h"
#include "daemon/registry/ssh_key.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

inline constexpr std::uint64_t kMaxTokenResponseBytes = 1 << 20;
inline constexpr std::size_t kMaxTokenBytes = 32ULL * 1024;

struct Realm {
  Url url;
  // Same host and port as the registry, or both in one set of aliases: our signature, and the login that the user set
  // for the registry, may go there.
  bool may_sign = false;
};

// kAuthFailed where nobody may be asked at all: no https (http only for a registry that is http itself, on its own
// host), user info, no URL.
Result<Realm> judge_realm(const Url& registry, std::string_view text);

// The realm's URL with its own parameters, service and scopes, sorted by key and form-encoded as Go does.
std::string token_url(const Realm& realm, const Challenge& challenge);
// The same with ts and nonce, for signing.
std::string signed_token_url(const Realm& realm, const Challenge& challenge, std::int64_t unix_seconds,
                             const std::string& nonce);
// The Authorization value for a GET of that very URL.
std::string signature_header(const SshKey& key, const std::string& url);

// `token` or `access_token`, visible ASCII only. kAuthFailed with what is wrong, never with the body.
Result<std::string> parse_token(std::string_view body);

}  // namespace pullama::registry
