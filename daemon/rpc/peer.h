#pragma once
// Who is at the other end of a connected Unix socket, as the kernel says, and who is let in: never a claim of the peer.

#include <sys/types.h>

#include <optional>
#include <vector>

#include "common/result.h"

namespace pullama::rpc {

struct Peer {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  std::vector<gid_t> groups;  // supplementary, those of the connecting process
};

struct AccessPolicy {
  std::vector<uid_t> users;    // whose connections are served
  std::optional<gid_t> group;  // and its members': the system service's

  static AccessPolicy own_user_and_root();
  bool allows(const Peer& peer) const;
};

// Of a connected AF_UNIX socket. Never blocks: the groups come from the kernel, not from a user database.
Result<Peer> peer_of(int socket_fd);

}  // namespace pullama::rpc
