#pragma once
// Who we are to one registry: nobody first, then what its challenge asks for (registry-protocol.md section 4). Holds
// one token a repository, and Basic credentials; one refresh serves all connections. Thread-safe. What it holds goes to
// the registry that it was made for, see redirect.h, and into no message.

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/io/clock.h"
#include "daemon/registry/challenge.h"
#include "daemon/registry/credentials.h"
#include "daemon/registry/fault.h"
#include "daemon/registry/response.h"
#include "daemon/registry/token_request.h"

namespace pullama::registry {

// An Authorization value; empty before anything was asked for. A later one for the same repository has a higher number.
struct Grant {
  std::string header;
  std::uint64_t number = 0;
  std::vector<std::string> scopes;  // that were asked for
};

struct AuthOptions {
  Url registry;
  std::string user_agent;
  Tracer trace;
  std::function<void(int attempt)> on_token_refresh;
  // Tokens are asked for with pull and push at once, and for all that earlier challenges of the repository named, so
  // that connections with different needs do not take each other's tokens away.
  bool push = false;
  bool may_sign = true;  // whether the user's key may sign for a token
};

// A 401 and what its body says.
struct Refusal {
  const HttpHead& head;
  std::string_view body;
};

class Authenticator {
 public:
  Authenticator(const io::Clock& clock, const Credentials& credentials, AuthOptions options);

  Grant grant(const std::string& repository) const;

  // After the registry answered 401 to a request with `used`: a newer grant, made by whoever asks first while the
  // others wait, with at most two requests to the token service. kPermanent/kAuthFailed where there is no way in.
  Outcome<Grant> refresh(HttpConnection& connection, const std::string& repository, const Grant& used,
                         const Refusal& refusal, bool refuse_private_realm, std::stop_token stop);

  // Whether all that this refusal asks for was asked for with the grant: then there is nothing better to be had.
  bool covers(const Grant& grant, const HttpHead& refusal) const;

  // What to tell a person whom the registry refuses although the token is fresh: its words, what was shown to it, and
  // what to do.
  Fault denied(const std::string& repository, const HttpHead& refusal, std::string_view body) const;

  // Takes our secrets out of what a server says.
  std::string redacted(std::string text) const;

 private:
  struct State {
    Grant grant;
    std::string note;  // why no better grant was to be had: a missing key, a refused signature
    bool refreshing = false;
    std::uint64_t failures = 0;
    Fault last_failure;
    int replaced = 0;
  };
  struct Obtained {
    std::string header, note;
    std::vector<std::string> scopes;
  };

  Outcome<Obtained> obtain(HttpConnection& connection, const std::string& repository, const Grant& used,
                           const Refusal& refusal, bool refuse_private_realm, const std::stop_token& stop) const;
  Fault no_way_in(std::string message, const Refusal& refusal) const;
  std::vector<std::string> wanted_scopes(const std::string& repository, const std::vector<std::string>& named,
                                         const Grant& used) const;
  Outcome<Obtained> obtain_basic(const Grant& used, const Refusal& refusal) const;
  Outcome<Obtained> obtain_token(HttpConnection& connection, const Challenge& challenge, const Realm& realm,
                                 bool refuse_private_realm, const std::stop_token& stop) const;
  Outcome<std::string> ask_for_token(HttpConnection& connection, const std::string& url,
                                     const std::string& authorization, bool refuse_private_realm,
                                     const std::stop_token& stop) const;
  Fault no_access(std::string message, int status = 0) const;
  std::string clock_note(const HttpHead& head) const;

  const io::Clock& clock_;
  const Credentials& credentials_;
  const AuthOptions options_;
  mutable std::mutex mutex_;  // guards states_
  std::condition_variable_any changed_;
  std::map<std::string, State> states_;
};

}  // namespace pullama::registry
