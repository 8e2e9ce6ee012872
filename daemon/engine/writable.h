#pragma once
// Whether a pull into this models dir could end well: making, syncing and renaming a file is tried in each folder that
// it writes to, before the first byte travels and not hours later.

#include "daemon/io/file_system.h"

namespace pullama::engine {

// Makes the folders where they are missing. The error names the folder.
Status try_writing(io::FileSystem& fs);

}  // namespace pullama::engine
