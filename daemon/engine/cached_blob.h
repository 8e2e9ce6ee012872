#pragma once
// Is a blob there already? A final file counts when the ledger knows exactly this file as verified; else it is hashed
// once and noted. A file under a digest's name that is something else is set aside, never served.

#include <functional>
#include <stop_token>

#include "daemon/engine/progress.h"
#include "daemon/io/file_system.h"
#include "daemon/store/ledger.h"

namespace pullama::engine {

enum class Cached { kNo, kYes, kUnknown };

// Without hashing: kUnknown when a file is there that the ledger does not know, or keep/ has what may be the finished
// blob. Errors: the disk's, or something that is no regular file in the way.
Result<Cached> look_for_blob(io::FileSystem& fs, store::Ledger& ledger, const BlobRef& blob);

// A link in keep/ to what may be the finished blob, whose file is gone.
bool kept_finished(io::FileSystem& fs, const BlobRef& blob);

// Hashes the file, or what keep/ has where the file is gone; true if it has its digest: noted, and back under its name.
// Else it is set aside (the link in keep/ removed). kCancelled on stop. Precondition: the blob's lock is held.
Result<bool> verify_blob(io::FileSystem& fs, store::Ledger& ledger, const BlobRef& blob, std::stop_token stop);

}  // namespace pullama::engine
