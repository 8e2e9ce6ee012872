#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "daemon/rpc/peer.h"

namespace pullama::rpc {

AccessPolicy AccessPolicy::own_user_and_root() { return {{::geteuid(), 0}, {}}; }

bool AccessPolicy::allows(const Peer& peer) const {
  if (std::ranges::find(users, peer.uid) != users.end()) return true;
  if (!group) return false;
  return peer.gid == *group || std::ranges::find(peer.groups, *group) != peer.groups.end();
}

Result<Peer> peer_of(int socket_fd) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    const int error = errno;
    return fail(ErrorCode::kPermission,
                "the kernel does not say who connected: " + std::generic_category().message(error), "", error);
  }
  Peer peer{credentials.uid, credentials.gid, credentials.pid, {}};
  // The groups that the peer had when it connected: what counted for the socket's mode. getgrouplist(3) would ask a
  // user database, perhaps over the network, and block this thread.
  peer.groups.resize(32);
  for (int attempt = 0; attempt < 2; ++attempt) {
    size = static_cast<socklen_t>(peer.groups.size() * sizeof(gid_t));
    const bool known = ::getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &size) == 0;
    const bool too_small = !known && errno == ERANGE;
    peer.groups.resize(known || too_small ? size / sizeof(gid_t) : 0);
    if (!too_small) break;
  }
  return peer;
}

}  // namespace pullama::rpc
