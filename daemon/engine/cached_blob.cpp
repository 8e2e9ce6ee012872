#include "daemon/engine/cached_blob.h"

#include <fmt/format.h>

#include "daemon/engine/blob_hash.h"
#include "daemon/io/os_error.h"
#include "daemon/store/keep.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

Status set_aside(io::FileSystem& fs, const Digest& digest) {
  const std::string path = store::blob_path(digest);
  auto moved = fs.rename(path, std::string(store::kStateDir) + "/damaged-" + digest.file_name());
  // blobs/ may lie on another disk.
  if (!moved) moved = fs.rename(path, path + ".damaged");
  if (!moved) return moved;
  return fs.sync_directory(store::kBlobsDir);
}

}  // namespace

// A partial has a checkpoint, or a file of its own.
bool kept_finished(io::FileSystem& fs, const BlobRef& blob) {
  const auto kept = fs.stat(store::keep_path(blob.digest));
  return kept && kept->kind == io::FileStat::Kind::kFile && kept->size_bytes == blob.size_bytes &&
         !fs.stat(store::checkpoint_path(blob.digest)) && !fs.stat(store::partial_path(blob.digest));
}

Result<Cached> look_for_blob(io::FileSystem& fs, store::Ledger& ledger, const BlobRef& blob) {
  const std::string path = store::blob_path(blob.digest);
  const auto stat = fs.stat(path);
  if (!stat) {
    if (!io::is_missing(stat.error())) return fail(stat.error());
    return kept_finished(fs, blob) ? Cached::kUnknown : Cached::kNo;
  }
  if (stat->kind != io::FileStat::Kind::kFile) {
    return fail(ErrorCode::kCorrupt, fmt::format("{} is no regular file", fs.native_path(path)),
                "move it away and pull again");
  }
  return stat->size_bytes == blob.size_bytes && ledger.is_verified(blob.digest, *stat) ? Cached::kYes
                                                                                       : Cached::kUnknown;
}

Result<bool> verify_blob(io::FileSystem& fs, store::Ledger& ledger, const BlobRef& blob, std::stop_token stop) {
  const std::string path = store::blob_path(blob.digest);
  auto file = fs.open(path, io::OpenMode::kRead);
  const bool from_keep = !file && io::is_missing(file.error());
  if (from_keep) file = fs.open(store::keep_path(blob.digest), io::OpenMode::kRead);
  if (!file) return fail(file.error());
  auto stat = (*file)->stat();
  if (!stat) return fail(stat.error());
  if (stat->size_bytes == blob.size_bytes) {
    const auto hash = hash_blob(
        **file, blob.size_bytes, {}, [](std::uint64_t) {}, stop);
    if (!hash) return fail(hash.error());
    if (hash->whole && hash->digest == blob.digest) {
      if (from_keep) {
        store::Keep keep(fs);
        if (auto restored = keep.restore(blob.digest, path); !restored) return fail(restored.error());
        // The new link changed its ctime.
        stat = (*file)->stat();
        if (!stat) return fail(stat.error());
      }
      ledger.record(blob.digest, *stat, hash->sums);
      return true;
    }
  }
  ledger.forget(blob.digest);
  const auto away = from_keep ? fs.remove(store::keep_path(blob.digest)) : set_aside(fs, blob.digest);
  if (!away) return fail(away.error());
  return false;
}

}  // namespace pullama::engine
