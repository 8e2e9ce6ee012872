#pragma once
// Mode and owner of what we make: readable for the model server, and its own when root works in its store.

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "common/result.h"

namespace pullama::io {

// Whom to give to what we make; nothing unless we are root in somebody else's store.
using Owner = std::optional<std::pair<uid_t, gid_t>>;

// Nothing unless we are root and the owner is somebody else.
Owner heir_of(uid_t uid, gid_t gid);

// Sets both whatever the umask was. A file system that has neither (exFAT, CIFS) refuses; that is no error where it
// already shows at least the mode and just the owner that are asked for.
Status set_mode_and_owner(int fd, mode_t mode, const Owner& owner, const std::string& native_path);

}  // namespace pullama::io
