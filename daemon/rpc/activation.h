#pragma once
// A socket handed over by the service manager (sd_listen_fds(3)): LISTEN_PID, LISTEN_FDS, descriptors from 3 on.

#include <optional>

#include "common/result.h"

namespace pullama::rpc {

// Nothing when the variables are missing or meant for another process. They are unset in any case, so no child takes
// them for its own: call it before the first thread starts. kInvalidArgument when they are garbled, name more than one
// socket, or descriptor `first_fd` is no listening AF_UNIX stream socket. The descriptor is close-on-exec afterwards
// and the caller's (ServerConfig::listen_fd).
Result<std::optional<int>> take_activated_socket(int first_fd = 3);

}  // namespace pullama::rpc
