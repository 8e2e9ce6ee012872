#pragma once
// WWW-Authenticate (RFC 9110 section 11.6.1, registry-protocol.md section 4.2): several challenges in one header or in
// several, parameters in any order, quoted or not. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace pullama::registry {

struct Challenge {
  std::string scheme;  // lower case: "bearer", "basic"
  std::string realm, service, error;
  std::vector<std::string> scopes;  // split at spaces; "-" and nothing are no scope
};

// What cannot be parsed is left out; a parameter given twice makes its challenge worthless.
std::vector<Challenge> parse_challenges(const std::vector<std::string_view>& headers);

}  // namespace pullama::registry
