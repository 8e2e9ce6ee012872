#include "daemon/io/ownership_posix.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/io/os_error.h"

namespace pullama::io {

Owner heir_of(uid_t uid, gid_t gid) {
  if (::geteuid() != 0) return std::nullopt;
  return std::pair(uid, gid);
}

Status set_mode_and_owner(int fd, mode_t mode, const Owner& owner, const std::string& native_path) {
  constexpr mode_t kPermissions = 07777;
  struct ::stat found {};
  if (::fstat(fd, &found) != 0) return fail(os_error("stat", native_path, errno));
  // The owner first: changing it takes mode bits away.
  if (owner && (found.st_uid != owner->first || found.st_gid != owner->second) &&
      ::fchown(fd, owner->first, owner->second) != 0) {
    return fail(os_error("chown", native_path, errno));
  }
  if ((found.st_mode & kPermissions) == mode || ::fchmod(fd, mode) == 0) return {};
  const int error = errno;
  const bool enough = (found.st_mode & mode) == mode;
  if (enough && (error == EPERM || error == EOPNOTSUPP || error == ENOSYS)) return {};
  return fail(os_error("chmod", native_path, error));
}

}  // namespace pullama::io
