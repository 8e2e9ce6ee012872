#pragma once
// From errno to Error, the same for every file system: the code that callers act on, and a sentence that names the
// operation and the path.

#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::io {

// "write /models/blobs/sha256-…: No space left on device". ENOSPC and EDQUOT are kDiskFull, EACCES, EPERM, EROFS and
// ELOOP (a symlink that is not followed) kPermission, others kInternal: kNotFound
// is what a registry or the library says of a model, see is_missing() for files.
Error os_error(std::string_view operation, const std::string& path, int error_number);

// Whether the file or folder that was asked for is not there.
bool is_missing(const Error& error);

// The same for an operation that this file system cannot do at all, so that the caller goes on without it.
Error unsupported(std::string_view operation, const std::string& path, int error_number);

}  // namespace pullama::io
