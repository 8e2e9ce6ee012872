#pragma once
// What to say when the network fails and the daemon's proxies are not those of this shell. Pure.

#include <string>

#include "common/proxy_settings.h"
#include "proto/results.h"

namespace pullama::client {

// "the daemon goes by HTTPS_PROXY=none, this shell by HTTPS_PROXY=http://p:3128"; empty where both are the same. Shows
// neither user nor password.
std::string proxy_difference(const proto::NetworkSettings& daemon, const ProxySettings& here);

}  // namespace pullama::client
