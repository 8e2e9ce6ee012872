#pragma once
// Temporaries that a crash left: of atomic writes, and of the trial writes before a pull. Swept once, when a daemon has
// taken the lock of the models dir, so none of them can be in use.

#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

// Removes `.pullm-*.tmp` and `.pullm-*.try` from manifests/ and blobs/, every `*.tmp` and `*.try` from .pullm/ and its
// keep/. Other programs' files are not touched. What cannot be removed is left; returns how many went.
std::size_t remove_leftovers(io::FileSystem& fs);

}  // namespace pullama::store
