#pragma once
// The rules for following a redirect (registry-protocol.md section 3.4, security.md rows 4, 5, 11, 19). Addresses are
// judged elsewhere: by HttpRequest::refuse_private_addresses. Pure.

#include <string_view>

#include "common/result.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

inline constexpr unsigned kMaxRedirects = 10;

bool is_redirect(int status);  // 301, 302, 303, 307, 308

// Where `location`, byte for byte as the header gave it, leads from `current`: absolute, "//host/…", "/path", "?query"
// or relative. Refused, with a sentence that names both hosts: other schemes, https to http, user info, control
// characters, nothing at all, more than kMaxUrlBytes.
Result<Url> resolve_redirect(const Url& current, std::string_view location);

// Whether what was made for the registry at `registry` (a token, Basic credentials) may be sent to `target`: same
// scheme, host and port, or hf.co and huggingface.co for each other over https.
bool may_send_authorization(const Url& registry, const Url& target);

}  // namespace pullama::registry
