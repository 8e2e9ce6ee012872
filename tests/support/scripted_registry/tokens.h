#pragma once
// The registry's gate keeper: challenges, its own token service, and the check of Ollama's Ed25519 signatures, done
// with OpenSSL so that it is independent of what the daemon signs with. Not thread-safe; the registry guards it.

#include <httplib.h>

#include <chrono>
#include <map>
#include <set>
#include <string>

#include "tests/support/scripted_registry/answer.h"
#include "tests/support/scripted_registry/script.h"

namespace pullama::scripted {

class Tokens {
 public:
  // Empty: let it pass. Else the reason why not, for the log and the challenge's answer.
  std::string refuse(const AuthScript& script, const httplib::Request& request) const;
  // The 401 with its challenge.
  static Answer challenge(const AuthScript& script, const std::string& own_url, const std::string& repository,
                          const std::string& why);
  // GET /token. `own_url`: scheme, host and port as the client addressed us.
  Answer serve(const AuthScript& script, const std::string& own_url, const httplib::Request& request);
  void revoke() { valid_.clear(); }
  // All that were ever given, so that a test can look for them where they must not be.
  const std::set<std::string>& given() const { return given_; }

 private:
  std::map<std::string, std::chrono::steady_clock::time_point> valid_;
  std::set<std::string> given_;
  std::set<std::string> nonces_;
};

std::string random_hex(std::size_t bytes);

}  // namespace pullama::scripted
