#pragma once
// Which proxies an environment names. Both programs read their own: transfers go by the daemon's, and where the shell's
// differ a failure may well come from that. Pure.

#include <functional>
#include <string>
#include <string_view>

namespace pullama {

struct ProxySettings {
  std::string http;   // http_proxy, HTTP_PROXY, else all_proxy, ALL_PROXY; as it is set there, password and all
  std::string https;  // https_proxy, HTTPS_PROXY, else all_proxy, ALL_PROXY
  std::string none;   // no_proxy, NO_PROXY: hosts that go without
  bool operator==(const ProxySettings&) const = default;
};

// `variable` gives an environment variable's value, empty where it is not set.
ProxySettings read_proxy_settings(const std::function<std::string(const char*)>& variable);
ProxySettings process_proxy_settings();

// "http://user:secret@proxy:3128" → "http://proxy:3128", for showing.
std::string without_user_info(std::string_view proxy);
// All of them so.
ProxySettings without_user_info(const ProxySettings& settings);

}  // namespace pullama
