#pragma once
// The one way in which small files are replaced: temporary → fsync → rename → fsync of the folder.
// A reader, or a power cut at any moment, sees the whole old file or the whole new one.

#include <string>
#include <string_view>

#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::io {

// Durable on success. On failure the old file is as it was and no temporary is left (best effort when the disk fails).
// The temporary is `temporary` where given (same file system), else `path` + ".tmp"; one that lies there is replaced,
// a symlink there is removed, never followed. When only the last sync of the folder fails, the new content is in place
// but a power cut may bring the old one back. Two writers of one path at a time are the caller's to prevent.
Status atomic_write(FileSystem& fs, const std::string& path, std::string_view content, unsigned mode,
                    const std::string& temporary = {});

}  // namespace pullama::io
