#include "daemon/registry/url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

bool is_name(std::string_view host) {
  return !host.empty() && host.size() <= 255 && std::all_of(host.begin(), host.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_';
  });
}

// "[…]" with an IPv6 address; zones are refused.
bool is_bracketed_ipv6(std::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
  in6_addr address{};
  return inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &address) == 1;
}

tl::unexpected<Error> refused(std::string_view why) {
  return fail(ErrorCode::kInvalidArgument, "the URL is refused: " + std::string(why));
}

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return refused("it is longer than 8 KiB");
  for (const char c : text) {
    // libcurl would write what lies above 0x7f in another way than it was signed.
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      return refused("it has control characters, spaces or raw bytes above 0x7f in it");
    }
  }
  text = text.substr(0, text.find('#'));
  Url url;
  url.text = text;
  const auto scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return refused("it is not http:// or https://");
  url.scheme = lower(text.substr(0, scheme_end));
  if (url.scheme != "http" && url.scheme != "https") return refused("it is not http:// or https://");

  std::string_view rest = text.substr(scheme_end + 3);
  const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  url.target = rest.substr(authority_end);
  if (url.target.empty() || url.target.front() != '/') url.target.insert(url.target.begin(), '/');
  if (authority.find('@') != std::string_view::npos) return refused("it has a user name or password in it");

  url.port = url.is_https() ? 443 : 80;
  const auto host_end = authority.starts_with('[') ? authority.find(']') : std::string_view::npos;
  const auto colon = authority.find(':', host_end == std::string_view::npos ? 0 : host_end);
  if (colon != std::string_view::npos) {
    const auto port = parse_digits<std::uint16_t>(authority.substr(colon + 1));
    if (!port || *port == 0) return refused("its port is not a number from 1 to 65535");
    url.port = *port;
    authority = authority.substr(0, colon);
  }
  url.host = lower(authority);
  if (!is_name(url.host) && !is_bracketed_ipv6(url.host)) return refused("its host is not a name or an address");
  return url;
}

std::string Url::authority() const {
  const bool own_port = port == (is_https() ? 443 : 80);
  return own_port ? host : host + ":" + std::to_string(port);
}

std::string Url::origin() const { return scheme + "://" + authority(); }

std::string Url::path() const { return target.substr(0, target.find('?')); }

bool Url::same_origin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

}  // namespace pullama::registry
