#include "daemon/registry/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

struct Block {
  std::uint32_t network;
  unsigned prefix_bits;
};

// RFC 6890 and its successors. 198.18.0.0/15 (benchmarks) is missing on purpose: proxies that answer DNS with addresses
// from it stand in front of public hosts.
constexpr std::array<Block, 10> kInside{{
    {0x00000000, 8},   // "this" network, unspecified
    {0x0A000000, 8},   // private
    {0x64400000, 10},  // shared, carrier-grade NAT
    {0x7F000000, 8},   // loopback
    {0xA9FE0000, 16},  // link-local; clouds' metadata services
    {0xAC100000, 12},  // private
    {0xC0000000, 24},  // protocol assignments
    {0xC0A80000, 16},  // private
    {0xE0000000, 4},   // multicast
    {0xF0000000, 4},   // reserved, broadcast
}};

bool is_inside(std::uint32_t ipv4) {
  return std::any_of(kInside.begin(), kInside.end(),
                     [ipv4](const Block& block) { return ((ipv4 ^ block.network) >> (32 - block.prefix_bits)) == 0; });
}

bool is_inside(const in6_addr& address) {
  const auto& b = address.s6_addr;
  const auto embedded = [&b](std::size_t at) {
    return std::uint32_t{b[at]} << 24 | std::uint32_t{b[at + 1]} << 16 | std::uint32_t{b[at + 2]} << 8 | b[at + 3];
  };
  const auto zero = [&b](std::size_t from, std::size_t to) {
    return std::all_of(b + from, b + to, [](std::uint8_t byte) { return byte == 0; });
  };
  if (zero(0, 10) && b[10] == 0xFF && b[11] == 0xFF) return is_inside(embedded(12));  // mapped
  if (zero(0, 12)) return is_inside(embedded(12));                                    // ::, ::1, compatible
  if (b[0] == 0 && b[1] == 0x64 && b[2] == 0xFF && b[3] == 0x9B) {                    // NAT64
    return !zero(4, 12) || is_inside(embedded(12));
  }
  if (b[0] == 0x20 && b[1] == 0x02) return is_inside(embedded(2));                          // 6to4
  return (b[0] & 0xFE) == 0xFC || b[0] == 0xFF || (b[0] == 0xFE && (b[1] & 0x80) == 0x80);  // ULA, multicast, local
}

}  // namespace

bool is_private_address(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return is_inside(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof v6);
    return is_inside(v6.sin6_addr);
  }
  return true;
}

bool is_private_address_text(std::string_view address) {
  const std::string text(address.substr(0, address.find('%')));
  in_addr v4{};
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return is_inside(ntohl(v4.s_addr));
  in6_addr v6{};
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && is_inside(v6);
}

bool is_private_literal(std::string_view host) {
  std::string name = lower(host);
  if (!name.empty() && name.back() == '.') name.pop_back();
  if (name == "localhost" || name.ends_with(".localhost")) return true;
  if (name.size() > 2 && name.front() == '[') return is_private_address_text(name.substr(1, name.size() - 2));
  in_addr v4{};
  return inet_aton(name.c_str(), &v4) != 0 && is_inside(ntohl(v4.s_addr));
}

}  // namespace pullama::registry
