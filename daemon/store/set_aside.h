#pragma once
// What lies in the place of a file or folder of ours in .pullm and is none: it must not keep a transfer from running,
// and it is not ours to remove.

#include <string>

#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

// Renames it to "<path>.aside", or "<path>.aside-2" and on where that is taken. Not durable.
Status set_aside(io::FileSystem& fs, const std::string& path);

// Makes every folder on the way to `path`, which is below .pullm, and sets aside what is in their places; also what
// lies at `path` itself and is no regular file.
Status clear_way(io::FileSystem& fs, const std::string& path);

}  // namespace pullama::store
