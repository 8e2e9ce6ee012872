#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/printable.h"
#include "common/proxy_settings.h"
#include "daemon/io/descriptor_posix.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/reach.h"

namespace pullama::registry {
namespace {

constexpr int kPollMs = 50;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

std::string without_brackets(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return std::string(host);
}

// Those that libcurl knows.
constexpr std::array<std::string_view, 7> kProxySchemes{"http",    "https",  "socks5", "socks5h",
                                                        "socks4a", "socks4", "socks"};

// "10.0.0.0/8".
bool is_network(std::string_view text) {
  const auto slash = text.find('/');
  const std::string address = without_brackets(text.substr(0, slash));
  const auto bits = parse_digits<unsigned>(text.substr(slash + 1));
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  if (!bits) return false;
  if (::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) return *bits <= 32;
  return ::inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1 && *bits <= 128;
}

tl::unexpected<Error> not_connected(int fault) { return fail(ErrorCode::kNetwork, std::strerror(fault), {}, fault); }

}  // namespace

Result<std::vector<std::string>> resolve(std::string_view host, IpFamily family) {
  addrinfo hints{};
  hints.ai_family = family == IpFamily::kV4 ? AF_INET : AF_INET6;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int fault = ::getaddrinfo(without_brackets(host).c_str(), nullptr, &hints, &first);
  const Addresses list(first);
  std::vector<std::string> found;
  if (fault == EAI_NONAME || fault == EAI_NODATA || fault == EAI_ADDRFAMILY) return found;
  if (fault == EAI_SYSTEM) return fail(ErrorCode::kNetwork, std::strerror(errno), {}, errno);
  if (fault != 0) return fail(ErrorCode::kNetwork, ::gai_strerror(fault));
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    const int wrong = ::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST);
    if (wrong == 0) found.emplace_back(text.data());
  }
  return found;
}

Status try_connect(const std::string& address, std::uint16_t port, std::chrono::milliseconds limit,
                   const std::stop_token& stop) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* first = nullptr;
  const int wrong = ::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &first);
  const Addresses place(first);
  if (wrong != 0) return fail(ErrorCode::kNetwork, printable(address, 100) + " is no address");
  const io::Descriptor socket(::socket(place->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return not_connected(errno);
  if (::connect(socket.get(), place->ai_addr, place->ai_addrlen) == 0) return {};
  if (errno != EINPROGRESS) return not_connected(errno);
  const auto end = std::chrono::steady_clock::now() + limit;
  while (true) {
    pollfd wait{socket.get(), POLLOUT, 0};
    if (::poll(&wait, 1, kPollMs) > 0) break;
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped");
    if (std::chrono::steady_clock::now() >= end) return not_connected(ETIMEDOUT);
  }
  int fault = 0;
  socklen_t length = sizeof fault;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &fault, &length) != 0) return not_connected(errno);
  if (fault != 0) return not_connected(fault);
  return {};
}

Result<ProxyPlace> proxy_place(std::string_view proxy) {
  const std::string shown = printable(without_user_info(proxy), 300);
  std::uint16_t port = 1080;
  if (const auto scheme = proxy.find("://"); scheme != std::string_view::npos) {
    if (equals_ignoring_case(proxy.substr(0, scheme), "https")) port = 443;
    proxy.remove_prefix(scheme + 3);
  }
  if (const auto login = proxy.rfind('@'); login != std::string_view::npos) proxy.remove_prefix(login + 1);
  proxy = proxy.substr(0, proxy.find_first_of("/?#"));
  const auto bracket = proxy.find(']');
  const auto colon = proxy.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const auto host = proxy.substr(0, colon);
  if (colon != std::string_view::npos) {
    const auto number = parse_digits<std::uint16_t>(proxy.substr(colon + 1));
    if (!number || *number == 0) return fail(ErrorCode::kInvalidArgument, "the proxy " + shown + " names no port");
    port = *number;
  }
  if (host.empty()) return fail(ErrorCode::kInvalidArgument, "the proxy " + shown + " names no host");
  return ProxyPlace{without_brackets(host), port};
}

std::string proxy_doubt(std::string_view proxy) {
  if (proxy.empty()) return {};
  const auto scheme = proxy.find("://");
  const auto is_it = [&](std::string_view name) { return equals_ignoring_case(proxy.substr(0, scheme), name); };
  if (scheme != std::string_view::npos && std::none_of(kProxySchemes.begin(), kProxySchemes.end(), is_it)) {
    return printable(without_user_info(proxy), 200) + " is no proxy: http, https, socks5 or socks5h come before ://";
  }
  const auto place = proxy_place(proxy);
  return place ? std::string() : place.error().message;
}

std::string no_proxy_doubt(std::string_view no_proxy) {
  constexpr std::string_view kBetween = ", \t";
  while (!no_proxy.empty()) {
    const auto entry = no_proxy.substr(0, no_proxy.find_first_of(kBetween));
    no_proxy.remove_prefix(std::min(entry.size() + 1, no_proxy.size()));
    if (entry.find('/') != std::string_view::npos && !is_network(entry)) {
      return printable(entry, 100) + " is no network like 10.0.0.0/8";
    }
  }
  return {};
}

}  // namespace pullama::registry
