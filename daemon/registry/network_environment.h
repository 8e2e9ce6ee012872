#pragma once
// What the daemon's configuration says about the network: proxies and trusted CAs. `daemon status` shows it, because a
// daemon's environment may differ from the shell's.

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
  std::string http_proxy;   // for http://
  std::string https_proxy;  // for https://
  std::string no_proxy;     // see bypasses_proxy()
  TrustedCas cas;

  // The proxy for this URL; empty: none.
  std::string proxy_for(const Url& url) const;
};

// Where distributions keep the trusted CAs: a bundle, else a folder, else nothing. The list is the one that Go's
// crypto/x509 looks through. `exists` says whether a path exists.
TrustedCas find_trusted_cas(const std::function<bool(const std::string&)>& exists);

// Whether an entry of the list covers the host: "*", names with all names below them, "host:port", addresses, CIDR
// blocks.
bool bypasses_proxy(std::string_view no_proxy, const Url& url);

}  // namespace pullama::registry
