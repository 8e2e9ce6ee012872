#pragma once
// What the process's environment says about the network: proxies and trusted CAs. Read once at the start; `daemon
// status` shows it, because a daemon's environment may differ from the shell's.

#include <functional>
#include <string>
#include <string_view>

#include "daemon/registry/url.h"

namespace pullama::registry {

// PEM file and hashed folder of trusted CAs; either may be empty.
struct TrustedCas {
  std::string file, folder;
};

struct NetworkEnvironment {
  std::string http_proxy;   // http_proxy, HTTP_PROXY, else all_proxy, ALL_PROXY
  std::string https_proxy;  // https_proxy, HTTPS_PROXY, else all_proxy, ALL_PROXY
  std::string no_proxy;     // no_proxy, NO_PROXY
  TrustedCas cas;           // SSL_CERT_FILE and SSL_CERT_DIR where either is set, else where distributions keep them

  // The proxy for this URL; empty: none.
  std::string proxy_for(const Url& url) const;
};

// `variable` gives an environment variable's value, empty where it is not set; `exists` whether a path exists.
NetworkEnvironment read_network_environment(const std::function<std::string(const char*)>& variable,
                                            const std::function<bool(const std::string&)>& exists);
NetworkEnvironment process_network_environment();

// Whether an entry of the list covers the host: "*", names with all names below them, "host:port", addresses, CIDR
// blocks.
bool bypasses_proxy(std::string_view no_proxy, const Url& url);

}  // namespace pullama::registry
