#include "daemon/registry/network_environment.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

// The commonest first.
constexpr std::array<const char*, 7> kBundles{
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Ubuntu, Gentoo, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",                             // openSUSE
    "/etc/pki/tls/cacert.pem",                            // OpenELEC
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // RHEL 7 and newer
    "/etc/ssl/cert.pem",                                  // Alpine, macOS, BSD
    "/usr/local/share/certs/ca-root-nss.crt",             // FreeBSD
};
constexpr std::array<const char*, 2> kFolders{"/etc/ssl/certs", "/etc/pki/tls/certs"};

struct Address {
  std::array<std::uint8_t, 16> bytes{};
  unsigned bits = 0;
};

std::optional<Address> parse_address(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') text = text.substr(1, text.size() - 2);
  Address address;
  const std::string terminated(text);
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
  } else if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) {
    address.bits = 128;
  } else {
    return std::nullopt;
  }
  return address;
}

bool same_prefix(const Address& a, const Address& b, unsigned bits) {
  for (unsigned i = 0; i < bits; i += 8) {
    const unsigned rest = bits - i < 8 ? 8 - (bits - i) : 0;
    if ((a.bytes[i / 8] ^ b.bytes[i / 8]) >> rest != 0) return false;
  }
  return true;
}

bool covers(std::string_view entry, const Url& url) {
  if (entry == "*") return true;
  const auto host = parse_address(url.host);
  if (const auto slash = entry.find('/'); slash != std::string_view::npos) {
    const auto network = parse_address(entry.substr(0, slash));
    const auto bits = parse_digits<unsigned>(entry.substr(slash + 1));
    return host && network && bits && host->bits == network->bits && *bits <= network->bits &&
           same_prefix(*host, *network, *bits);
  }
  if (const auto address = parse_address(entry)) {
    return host && host->bits == address->bits && same_prefix(*host, *address, host->bits);
  }
  if (const auto colon = entry.rfind(':'); colon != std::string_view::npos) {
    const auto port = parse_digits<std::uint16_t>(entry.substr(colon + 1));
    if (port) {
      if (*port != url.port) return false;
      entry = entry.substr(0, colon);
      if (const auto address = parse_address(entry)) {
        return host && host->bits == address->bits && same_prefix(*host, *address, host->bits);
      }
    }
  }
  if (entry.starts_with('*')) entry.remove_prefix(1);
  if (entry.starts_with('.')) entry.remove_prefix(1);
  std::string_view name = url.host;
  if (name.ends_with('.')) name.remove_suffix(1);
  if (entry.empty() || host) return false;
  if (equals_ignoring_case(name, entry)) return true;
  return name.size() > entry.size() + 1 && name[name.size() - entry.size() - 1] == '.' &&
         equals_ignoring_case(name.substr(name.size() - entry.size()), entry);
}

}  // namespace

bool bypasses_proxy(std::string_view no_proxy, const Url& url) {
  while (!no_proxy.empty()) {
    const auto end = std::min(no_proxy.find_first_of(", \t"), no_proxy.size());
    const auto entry = no_proxy.substr(0, end);
    if (!entry.empty() && covers(entry, url)) return true;
    no_proxy.remove_prefix(std::min(end + 1, no_proxy.size()));
  }
  return false;
}

std::string NetworkEnvironment::proxy_for(const Url& url) const {
  const auto& proxy = url.is_https() ? https_proxy : http_proxy;
  return proxy.empty() || bypasses_proxy(no_proxy, url) ? std::string() : proxy;
}

TrustedCas find_trusted_cas(const std::function<bool(const std::string&)>& exists) {
  const auto bundle = std::find_if(kBundles.begin(), kBundles.end(), exists);
  if (bundle != kBundles.end()) return {*bundle, {}};
  const auto folder = std::find_if(kFolders.begin(), kFolders.end(), exists);
  if (folder != kFolders.end()) return {{}, *folder};
  return {};
}

}  // namespace pullama::registry
