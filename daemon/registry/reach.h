#pragma once
// Whether a host is there, for `pullama doctor`: its addresses by family, and whether one of them takes a connection.
// Transfers do both inside libcurl, which says only what became of the whole. Blocking.

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pullama::registry {

enum class IpFamily { kV4, kV6 };

// The numeric addresses of a name (or of an address, IPv6 with or without brackets), in the resolver's order; none
// where it has none of that family. kNetwork where the resolver cannot say. Takes as long as the resolver does
// (resolv.conf(5)); nothing stops it.
Result<std::vector<std::string>> resolve(std::string_view host, IpFamily family);

// A TCP connection to a numeric address, closed at once. kNetwork: why there is none; os_error is ENETUNREACH or the
// like where this machine has no way there. kCancelled at a stop, within 50 ms.
Status try_connect(const std::string& address, std::uint16_t port, std::chrono::milliseconds limit,
                   const std::stop_token& stop);

struct ProxyPlace {
  std::string host;
  std::uint16_t port = 0;
};
// Where a proxy listens, by what the environment says of it ("http://user:password@p:3128", "p:3128", "socks5h://p");
// the ports that libcurl takes where it names none. kInvalidArgument names the proxy without its login.
Result<ProxyPlace> proxy_place(std::string_view proxy);

// What is wrong with a configured value, without its login; empty: nothing that can be seen without asking.
std::string proxy_doubt(std::string_view proxy);
std::string no_proxy_doubt(std::string_view no_proxy);

}  // namespace pullama::registry
