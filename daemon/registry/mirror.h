#pragma once
// Mirrors of registries: "registry.ollama.ai https://cache.example:5000" means that what registry.ollama.ai has is
// asked for at the cache first. Only what has the right digest is taken from one, whatever it says. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pullama::registry {

struct Mirror {
  std::string host;    // of the registry that people name, with ":port" where there is one; lower case
  std::string origin;  // "https://cache.example:5000"

  bool operator==(const Mirror&) const = default;
};

// One "HOST URL", or several with commas between. The URL is http or https, without a path, a query or a login.
Result<std::vector<Mirror>> parse_mirrors(std::string_view text);

// Those of `host`, in their order.
std::vector<Mirror> mirrors_of(const std::vector<Mirror>& mirrors, std::string_view host);

}  // namespace pullama::registry
