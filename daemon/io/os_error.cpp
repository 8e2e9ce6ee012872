#include "daemon/io/os_error.h"

#include <cerrno>
#include <system_error>

namespace pullama::io {
namespace {

ErrorCode code_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return ErrorCode::kDiskFull;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP:
      return ErrorCode::kPermission;
    default:
      return ErrorCode::kInternal;
  }
}

std::string hint_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
      return "free some space or try `pullama clean`";
    case EDQUOT:
      return "your disk quota is used up: free some space or try `pullama clean`";
    case EROFS:
      return "the disk is mounted read-only";
    case ENFILE:
    case EMFILE:
      return "raise the limit of open files (ulimit -n)";
    default:
      return {};
  }
}

std::string sentence(std::string_view operation, const std::string& path, int error_number) {
  std::string text(operation);
  text += ' ';
  text += path;
  text += ": ";
  text += error_number == ELOOP ? "is a symbolic link, which is not followed here"
                                : std::generic_category().message(error_number);
  return text;
}

}  // namespace

Error os_error(std::string_view operation, const std::string& path, int error_number) {
  return {code_of(error_number), sentence(operation, path, error_number), hint_of(error_number), error_number};
}

bool is_missing(const Error& error) { return error.os_error == ENOENT; }

Error unsupported(std::string_view operation, const std::string& path, int error_number) {
  return {ErrorCode::kUnsupported, sentence(operation, path, error_number), {}, error_number};
}

}  // namespace pullama::io
