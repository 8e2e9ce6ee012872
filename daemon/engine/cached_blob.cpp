#include "daemon/engine/cached_blob.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "daemon/io/sha256.h"
#include "daemon/store/keep.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

// The grain at which a later repair can tell which part of a blob is damaged.
constexpr std::uint64_t kLedgerChunkBytes = 64ULL << 20;

Status set_aside(io::FileSystem& fs, const Digest& digest) {
  const std::string path = store::blob_path(digest);
  auto moved = fs.rename(path, std::string(store::kStateDir) + "/damaged-" + digest.file_name());
  // blobs/ may lie on another disk.
  if (!moved) moved = fs.rename(path, path + ".damaged");
  if (!moved) return moved;
  return fs.sync_directory(store::kBlobsDir);
}

// The link in keep/ of a blob that was finished: a partial has a checkpoint, or a file of its own.
bool kept_finished(io::FileSystem& fs, const BlobRef& blob) {
  const auto kept = fs.stat(store::keep_path(blob.digest));
  return kept && kept->kind == io::FileStat::Kind::kFile && kept->size_bytes == blob.size_bytes &&
         !fs.stat(store::checkpoint_path(blob.digest)) && !fs.stat(store::partial_path(blob.digest));
}

// nullopt when it does not have its digest.
Result<std::optional<std::vector<store::ChunkSum>>> hash_file(io::File& file, const BlobRef& blob,
                                                              std::stop_token stop) {
  io::Sha256 hash;
  io::Xxh3 chunk;
  std::vector<store::ChunkSum> sums;
  std::vector<std::byte> block(1 << 20);
  std::uint64_t chunk_start = 0;
  for (std::uint64_t at = 0; at < blob.size_bytes;) {
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while verifying " + blob.digest.str());
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), blob.size_bytes - at));
    auto got = file.read_at(at, std::span(block).first(length));
    if (!got) return fail(got.error());
    if (*got != length) return std::nullopt;
    const auto bytes = std::span<const std::byte>(block).first(length);
    hash.update(bytes);
    chunk.update(bytes);
    at += length;
    if (at - chunk_start == kLedgerChunkBytes || at == blob.size_bytes) {
      sums.push_back({chunk_start, at - 1, chunk.digest()});
      chunk = io::Xxh3();
      chunk_start = at;
    }
  }
  if (hash.digest() != blob.digest) return std::nullopt;
  return sums;
}

}  // namespace

Result<Cached> look_for_blob(io::FileSystem& fs, store::Ledger& ledger, const BlobRef& blob) {
  const std::string path = store::blob_path(blob.digest);
  const auto stat = fs.stat(path);
  if (!stat) {
    if (stat.error().code != ErrorCode::kNotFound) return fail(stat.error());
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
  const bool from_keep = !file && file.error().code == ErrorCode::kNotFound;
  if (from_keep) file = fs.open(store::keep_path(blob.digest), io::OpenMode::kRead);
  if (!file) return fail(file.error());
  auto stat = (*file)->stat();
  if (!stat) return fail(stat.error());
  if (stat->size_bytes == blob.size_bytes) {
    const auto sums = hash_file(**file, blob, std::move(stop));
    if (!sums) return fail(sums.error());
    if (*sums) {
      if (from_keep) {
        store::Keep keep(fs);
        if (auto restored = keep.restore(blob.digest, path); !restored) return fail(restored.error());
        // The new link changed its ctime.
        stat = (*file)->stat();
        if (!stat) return fail(stat.error());
      }
      ledger.record(blob.digest, *stat, **sums);
      return true;
    }
  }
  ledger.forget(blob.digest);
  const auto away = from_keep ? fs.remove(store::keep_path(blob.digest)) : set_aside(fs, blob.digest);
  if (!away) return fail(away.error());
  return false;
}

}  // namespace pullama::engine
