#include "client/network_words.h"

#include <fmt/format.h>

#include "common/printable.h"

namespace pullama::client {
namespace {

constexpr std::size_t kShownBytes = 300;

std::string shown(const std::string& value) { return value.empty() ? "none" : printable(value, kShownBytes); }

}  // namespace

std::string proxy_difference(const proto::NetworkSettings& daemon, const ProxySettings& here) {
  const ProxySettings mine = without_user_info(here);
  const auto differ = [](const char* name, const std::string& its, const std::string& ours) {
    return fmt::format("the daemon goes by {}={}, this shell by {}={}", name, shown(its), name, shown(ours));
  };
  if (daemon.https_proxy != mine.https) return differ("HTTPS_PROXY", daemon.https_proxy, mine.https);
  if (daemon.http_proxy != mine.http) return differ("HTTP_PROXY", daemon.http_proxy, mine.http);
  if (daemon.no_proxy != mine.none) return differ("NO_PROXY", daemon.no_proxy, mine.none);
  return {};
}

}  // namespace pullama::client
