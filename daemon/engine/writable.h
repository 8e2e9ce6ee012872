#pragma once
// Whether a pull into this models dir could end well: making, syncing and renaming a file is tried in each folder that
// it writes to, before the first byte travels and not hours later.

#include <string>

#include "daemon/io/file_system.h"

namespace pullama::engine {

// Makes the folders where they are missing. `manifest`: the path that the pull will end at; what is there of it is
// looked at. The error names the folder or file.
Status try_writing(io::FileSystem& fs, const std::string& manifest);

}  // namespace pullama::engine
