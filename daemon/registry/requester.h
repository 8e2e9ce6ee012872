#pragma once
// Sends requests to one registry as one job: with its grant where that may go, along redirects, repeated once after
// a 401 with a new grant. Statuses of the final answer are the caller's affair. Thread-safe; a connection is not.

#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "daemon/registry/auth.h"
#include "daemon/registry/http.h"
#include "daemon/registry/registry.h"
#include "daemon/registry/url.h"

namespace pullama::registry {

struct Answer {
  HttpHead head;
  Url from;
  bool redirected = false;
  bool left_registry = false;
  std::uint64_t grant = 0;             // the number of the grant that was shown, 0: none
  std::string refusal;                 // the body of a 401 that the handler does not get, 64 KiB of it at most
  std::optional<HttpFailure> failure;  // the transfer broke off after its head, or the handler ended it
};

// Receives the final answer only: no redirects, no 401 that is tried again.
class AnswerHandler {
 public:
  virtual ~AnswerHandler() = default;
  // false ends the request; `way` says where the answer comes from.
  virtual bool on_head(const HttpHead& head, const Answer& way) = 0;
  virtual bool on_body(std::span<const std::byte> bytes) = 0;
  virtual bool on_tick() = 0;
};

struct Ask {
  std::string repository;
  Url url;
  std::string method = "GET";
  HttpBody* body = nullptr;
  bool without_authorization = false;
  bool redirect_is_final = false;  // an upload's 307 says where the bytes go: the caller's affair
  bool redirected = false;         // the URL came from a redirect: addresses inside are refused
  bool left_registry = false;      // another host had a say in it: nothing of ours goes there, not even on the way back
  std::vector<Header> headers;
  std::optional<ByteRange> range;
  std::chrono::milliseconds total_timeout{0};
  std::chrono::milliseconds head_timeout{30'000};
};

// How a registry is met. Shorter limits where another place has the same.
struct Manner {
  std::chrono::milliseconds connect_timeout{30'000};
  std::optional<std::chrono::milliseconds> head_timeout{};  // none: what is asked for decides
  bool may_sign = true;
};

class Requester {
 public:
  Requester(const io::Clock& clock, const Credentials& credentials, Url registry, RegistryOptions options,
            Manner manner = {});

  const Url& registry() const { return registry_; }
  const RegistryOptions& options() const { return options_; }
  const io::Clock& clock() const { return clock_; }
  const Authenticator& authenticator() const { return authenticator_; }
  // Hosts that answered a range with all of the blob; known for the job's other blobs. `authority` as Url has it.
  void note_without_ranges(const std::string& authority);
  bool without_ranges(const std::string& authority) const;
  std::string user_agent() const;
  // From now on the one that also names an Ollama version (the answer to a 412).
  void name_ollama();

  // A fault where no final answer arrived. A body is sent again after a 401 and along a 307 or 308; other redirects of
  // what is neither GET nor HEAD are refused.
  Outcome<Answer> send(HttpConnection& connection, const Ask& ask, AnswerHandler& handler, std::stop_token stop);

  struct Text {
    Answer answer;
    std::string body;
    bool too_long = false;
  };
  // The whole body, up to `max_bytes`.
  Outcome<Text> send_text(HttpConnection& connection, const Ask& ask, std::uint64_t max_bytes, std::stop_token stop);

  // "<what>: 404 from <host>: <its words>", with our secrets taken out.
  std::string refusal_text(std::string_view what, const Answer& answer, std::string_view body) const;

 private:
  using MayRefresh = std::function<bool(const HttpHead& refusal)>;
  Outcome<Answer> follow(HttpConnection& connection, const Ask& ask, const Grant& grant, const MayRefresh& may_refresh,
                         AnswerHandler& handler, const std::stop_token& stop);
  bool refuse_private(bool redirected) const;

  const io::Clock& clock_;
  const Url registry_;
  const RegistryOptions options_;
  const Manner manner_;
  Authenticator authenticator_;
  std::atomic<bool> registry_is_public_{false};
  std::atomic<bool> names_ollama_{false};
  mutable std::mutex mutex_;  // guards the one below
  std::set<std::string> without_ranges_;
};

// "ollama/0.32.0 (amd64 linux) pullama/<version>".
std::string user_agent_with_ollama();
std::string default_user_agent();

}  // namespace pullama::registry
