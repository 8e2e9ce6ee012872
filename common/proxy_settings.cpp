#include "common/proxy_settings.h"

#include <cstdlib>
#include <initializer_list>

namespace pullama {

ProxySettings read_proxy_settings(const std::function<std::string(const char*)>& variable) {
  const auto first_of = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (auto value = variable(name); !value.empty()) return value;
    }
    return std::string();
  };
  return {first_of({"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}),
          first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}), first_of({"no_proxy", "NO_PROXY"})};
}

ProxySettings process_proxy_settings() {
  return read_proxy_settings([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  });
}

std::string without_user_info(std::string_view proxy) {
  const auto scheme = proxy.find("://");
  const auto begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const auto at = proxy.rfind('@');
  if (at == std::string_view::npos || at < begin) return std::string(proxy);
  return std::string(proxy.substr(0, begin)) + std::string(proxy.substr(at + 1));
}

ProxySettings without_user_info(const ProxySettings& settings) {
  return {without_user_info(settings.http), without_user_info(settings.https), settings.none};
}

}  // namespace pullama
