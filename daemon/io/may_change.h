#pragma once
// A look at a folder's permissions, ahead of the work that will need them.

#include <string>

#include "daemon/io/file_system.h"

namespace pullama::io {

// False where the folder's permissions, or a disk mounted read-only, keep us from making anything in it. True where
// that cannot be told. Nothing is made. Blocks.
bool may_change(const FileSystem& fs, const std::string& folder);

}  // namespace pullama::io
