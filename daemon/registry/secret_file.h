#pragma once
// Reads small files that hold secrets and lie outside the models dir: the user's key, Docker's config. Blocking.

#include <cstdint>
#include <string>

#include "common/result.h"

namespace pullama::registry {

struct SecretFile {
  std::string content;
  bool readable_by_all = false;  // others may read or write it
};

// kNotFound where there is none, kPermission where it may not be read, kInvalidArgument where it is no regular file or
// longer than `max_bytes`. Symlinks are followed: people keep such files elsewhere.
Result<SecretFile> read_secret_file(const std::string& path, std::uint64_t max_bytes);

// Overwrites what the string holds, in a way that no compiler leaves out.
void wipe(std::string& secret);

}  // namespace pullama::registry
