#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/io/may_change.h"

namespace pullama::io {

bool may_change(const FileSystem& fs, const std::string& folder) {
  if (::faccessat(AT_FDCWD, fs.native_path(folder).c_str(), W_OK | X_OK, AT_EACCESS) == 0) return true;
  return errno != EACCES && errno != EPERM && errno != EROFS;
}

}  // namespace pullama::io
