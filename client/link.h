#pragma once
// The way to a daemon: where it is looked for, when one is started, where to go when another one holds the models dir.
// What a command does with a connection is no matter of this file.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "client/connection.h"
#include "client/options.h"
#include "proto/params.h"
#include "proto/results.h"

namespace pullama::client {

// The socket that a `locked` error names: after "--socket " in its hint or message.
std::optional<std::string> socket_named_by(const Error& error);

class Link {
 public:
  explicit Link(const Options& options) : options_(options) {}

  // The connection that is open, or a new one; starts a daemon when nobody answers, unless told not to. A daemon that
  // speaks another protocol is kUnsupported.
  Result<Connection*> open();
  // The same without ever starting one. kNetwork: there is none.
  Result<Connection*> open_running();
  // What the daemon tells of itself, asked over open_running(). kInternal where it is there and does not answer.
  Result<proto::DaemonInfo> hello();
  // The last daemon did not answer its first request.
  bool is_silent() const { return connection_ && connection_->is_silent(); }
  // Starts one, whatever --no-autostart says: the user asked for just that.
  Result<Connection*> start();
  // Of the connection that is open; kNetwork where it is lost.
  Result<std::optional<proto::Event>> next_event(std::chrono::milliseconds limit, int wake_fd);
  bool is_open() const { return connection_ && !connection_->is_lost(); }

  // Waits of this link end when that becomes readable.
  void set_wake(int fd, std::function<bool()> is_stopped);

  // What to send as models_dir: nothing where the daemon is to use its own.
  std::optional<std::string> models_dir() const;
  // What the daemon told of itself; open() has asked it.
  void learn(const proto::DaemonInfo& info);

  // The daemon that answers is the system service's.
  bool is_system() const { return connection_ && connection_->endpoint().source == EndpointSource::kSystem; }

  // Transfers that were waiting in a daemon when we had started it; 0 where we started none.
  std::uint64_t found_waiting() const { return found_waiting_; }

  // With a word about proxies where the network failed and the daemon's are not this shell's.
  Error explained(Error error) const;

  // What is to be said about a daemon of another version: once, then it is empty.
  std::string take_version_notice() { return std::exchange(version_notice_, {}); }

  // One request. A daemon that says another one holds the models dir is left for that one, three times at most.
  template <class Reply, class Params>
  Result<Reply> call(std::string_view method, const Params& params, std::chrono::milliseconds limit = kReplyLimit) {
    for (int hop = 0;; ++hop) {
      const auto connection = open();
      if (!connection) return fail(connection.error());
      auto reply = (*connection)->template call<Reply>(method, params, limit);
      if (reply || hop == 3 || !go_where(reply.error())) return reply;
    }
  }
  // True when the error sent us elsewhere: ask again there.
  bool go_where(const Error& error);

 private:
  Result<Connection*> open_first();
  Result<Connection*> start_and_open();
  // The first request on a new connection: do we understand each other?
  Status greet();
  Result<proto::DaemonInfo> ask_info();

  const Options& options_;
  std::unique_ptr<Connection> connection_;
  std::optional<Endpoint> elsewhere_;
  std::string told_version_;  // of the last daemon
  std::uint64_t found_waiting_ = 0;
  std::string version_notice_;
  std::string proxy_difference_;     // of the last daemon and us
  bool has_own_models_dir_ = false;  // the last daemon has it from a configuration file
  int wake_fd_ = -1;
  std::function<bool()> is_stopped_;
};

}  // namespace pullama::client
