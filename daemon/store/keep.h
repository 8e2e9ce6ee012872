#pragma once
// .pullm/keep: a second name (hard link) for each partial and each blob of a model whose manifest is not written yet.
// An Ollama server deletes both kinds from blobs/ at its start; the link brings them back. Where hard links cannot be
// made, or not by us, everything here succeeds without effect. A link made or removed changes the file's ctime: see
// Ledger::carry_over. Thread-safe (the file system is).

#include "common/digest.h"
#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

class Keep {
 public:
  explicit Keep(io::FileSystem& fs) : fs_(fs) {}

  // Makes keep/<digest> the same file as `path` (blobs/… ), replacing a link to another file. The folder is not synced.
  Status hold(const Digest& digest, const std::string& path);
  // If `path` is missing and the link exists, links it back and syncs the folder; true if that happened.
  Result<bool> restore(const Digest& digest, const std::string& path);
  // Removes the link; missing is fine.
  Status release(const Digest& digest);

 private:
  io::FileSystem& fs_;
};

}  // namespace pullama::store
