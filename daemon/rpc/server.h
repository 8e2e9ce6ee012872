#pragma once
// The daemon's socket: binds or adopts it, lets in whom the policy allows, and owns the sessions. Control thread only;
// nothing here blocks. Nothing that a peer sends can stop it, slow a download or grow memory without bound.

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/endpoint.h"
#include "common/result.h"
#include "daemon/rpc/dispatcher.h"
#include "daemon/rpc/peer.h"

namespace boost::asio {
class io_context;
}

namespace pullama::rpc {

struct ServerConfig {
  Endpoint endpoint;             // not looked at when listen_fd is set
  std::optional<int> listen_fd;  // from take_activated_socket(); the server closes it and leaves its path alone
  std::optional<gid_t> group;    // system service: socket 0660 and this group's, its members are let in
  AccessPolicy access = AccessPolicy::own_user_and_root();  // `group` is added to it
  std::size_t max_connections = 1024;
  std::chrono::milliseconds reply_stall{10'000}, event_stall{3'000};  // SessionHost's
  std::chrono::milliseconds flush_on_stop{200};                       // for what is queued when stop() is called
};

class Server {
 public:
  // `dispatcher` outlives the server and every Reply.
  Server(boost::asio::io_context& io, const Dispatcher& dispatcher);
  // Closes everything at once.
  // NOLINTNEXTLINE(bugprone-exception-escape): see there
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Errors as Listener's. Raises the soft limit of open files where it is too low for max_connections.
  Status start(ServerConfig config);
  const std::string& socket_path() const;  // an adopted socket's is what the kernel says; "" if it has none
  std::size_t connections() const;

  // No new connections or requests; the socket's name goes at once; what is queued is written for at most
  // flush_on_stop, then every connection is closed and `done` runs, in a later turn. Never blocks.
  void stop(std::function<void()> done = {});

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pullama::rpc
