#pragma once
// Which addresses are "inside": loopback, link-local, private, shared, multicast, reserved, unspecified, and the same
// hidden in IPv6 (mapped, compatible, NAT64, 6to4). A redirect from a public registry must not lead there (security.md
// row 5, CVE-2026-5530). Pure.

#include <string>
#include <string_view>

struct sockaddr;

namespace pullama::registry {

// Anything but IPv4 and IPv6 counts as inside.
bool is_private_address(const sockaddr& address);

// "127.0.0.1", "::1". Text that is no address: false.
bool is_private_address_text(std::string_view address);

// Judges a URL's host without resolving it: literal addresses in every spelling that inet_aton(3) takes ("127.1",
// "0x7f000001"), IPv6 in brackets, and localhost. Names are not judged: false.
bool is_private_literal(std::string_view host);

}  // namespace pullama::registry
