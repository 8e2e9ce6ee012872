#pragma once
// Where the daemon's socket is: the address rules of proto/PROTOCOL.md ("Transport") as pure functions of an
// environment, so that client and daemon agree. Whether a folder in /tmp may be trusted is the server's and the
// connecting client's check, not decided here.

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace pullama {

struct EndpointEnvironment {
  std::string socket_option;    // --socket PATH; empty: not given
  std::string socket_variable;  // $PULLAMA_SOCKET
  std::string runtime_dir;      // $XDG_RUNTIME_DIR; counts only when absolute
  std::uint32_t uid = 0;
  bool run_user_exists = false;  // /run/user/<uid> is a folder
};

// From the environment of this process, with the effective uid.
EndpointEnvironment process_endpoint_environment(std::string socket_option);

enum class EndpointSource { kOption, kVariable, kRuntimeDir, kRunUser, kTmp, kSystem };

struct Endpoint {
  std::string path;
  EndpointSource source = EndpointSource::kOption;

  // Named by the user. Else the daemon makes the socket's folder, 0700.
  bool chosen_by_user() const { return source == EndpointSource::kOption || source == EndpointSource::kVariable; }
  // The folder lies in /tmp, where anyone may have made it: it must be ours, mode 0700, and no symlink.
  bool folder_needs_check() const { return source == EndpointSource::kTmp; }
};

inline constexpr const char* kSystemSocket = "/run/pullama/pullamad.sock";
// sockaddr_un holds 108 bytes with the final NUL.
inline constexpr std::size_t kMaxSocketPathBytes = 107;

// Where a daemon listens when no socket was handed to it. kInvalidArgument for a path that no socket can have.
Result<Endpoint> listen_endpoint(const EndpointEnvironment& environment);

// Where a client looks, in this order: the address above, then, unless the user named a socket, the system service's.
Result<std::vector<Endpoint>> connect_endpoints(const EndpointEnvironment& environment);

}  // namespace pullama
