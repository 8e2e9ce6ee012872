#include "daemon/store/removal.h"

#include <algorithm>
#include <optional>

#include "daemon/io/os_error.h"
#include "daemon/store/blob_lock.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/needed.h"

namespace pullama::store {
namespace {

constexpr auto kLockLimit = std::chrono::seconds(60);

struct Target {
  ModelName name;
  std::vector<Digest> blobs;  // empty where its manifest does not parse
};

Result<std::vector<Target>> find_targets(io::FileSystem& fs, const std::vector<ModelName>& names) {
  Manifests manifests(fs);
  std::vector<Target> targets;
  for (const ModelName& wanted : names) {
    const auto name = manifests.existing_spelling(wanted);
    if (!name) return fail(name.error());
    const auto there = fs.stat(manifests.path_of(*name));
    if (!there && !io::is_missing(there.error())) return fail(there.error());
    if (!there || there->kind == io::FileStat::Kind::kDirectory) {
      return fail(ErrorCode::kNotFound, "the model " + wanted.display() + " is not in " + fs.native_path("."),
                  "`pullama list` shows what is there");
    }
    if (std::any_of(targets.begin(), targets.end(), [&](const Target& each) { return each.name == *name; })) continue;
    Target target{*name, {}};
    if (const auto read = manifests.read(*name)) {
      for (const manifest::Blob& blob : read->blobs()) target.blobs.push_back(blob.digest);
    }
    targets.push_back(std::move(target));
  }
  return targets;
}

// What is named by the manifests that stay, and by pulls of `open` (nullptr: by all that are not finished).
Result<DigestSet> needed_beside(io::FileSystem& fs, const std::vector<ModelName>& except,
                                const std::vector<ModelName>* open) {
  auto needed = named_by_manifests(fs, except);
  if (!needed) return needed;
  const auto pending = pending_pulls(fs);
  if (!pending) return fail(pending.error());
  for (const PendingPull& pull : *pending) {
    if (open == nullptr || is_among(*open, pull.name)) needed->insert(pull.blobs.begin(), pull.blobs.end());
  }
  return needed;
}

Result<std::optional<std::uint64_t>> size_of_blob(const RemovalContext& context, const Digest& digest) {
  const auto stat = context.fs.stat(blob_path(digest));
  if (!stat && io::is_missing(stat.error())) return std::nullopt;
  if (!stat) return fail(stat.error());
  // A folder with a blob's name is nothing that we made.
  if (stat->kind == io::FileStat::Kind::kDirectory) return std::nullopt;
  return stat->size_bytes;
}

}  // namespace

Result<std::optional<std::uint64_t>> remove_blob(const RemovalContext& context, const Digest& digest) {
  Result<std::optional<std::uint64_t>> gone = std::nullopt;
  const auto remove = [&] {
    const auto size = size_of_blob(context, digest);
    if (!size) gone = fail(size.error());
    if (!size) return;
    const auto lock = BlobLock::try_acquire(context.fs, digest);
    if (!lock) gone = fail(lock.error());
    if (!lock || !*lock) return;
    std::vector<std::string> paths = {checkpoint_path(digest), unsynced_path(digest), keep_path(digest),
                                      partial_path(digest)};
    if (*size) paths.insert(paths.begin(), blob_path(digest));
    for (const std::string& path : paths) {
      auto removed = context.fs.remove(path);
      if (removed || io::is_missing(removed.error())) continue;
      gone = fail(removed.error());
      return;
    }
    if (context.ledger != nullptr) context.ledger->forget(digest);
    gone = *size;
  };
  if (context.in_use == nullptr) {
    remove();
  } else {
    context.in_use->unless_held(digest, remove);
  }
  return gone;
}

Result<std::vector<RemovedBlob>> remove_unneeded(const RemovalContext& context, const std::vector<Digest>& candidates) {
  std::vector<RemovedBlob> removed;
  if (candidates.empty()) return removed;
  const auto needed = needed_beside(context.fs, {}, nullptr);
  if (!needed) return fail(needed.error());
  for (const Digest& digest : candidates) {
    if (needed->contains(digest)) continue;
    const auto size = remove_blob(context, digest);
    if (!size) return fail(size.error());
    if (*size) removed.push_back({digest, **size});
  }
  if (removed.empty()) return removed;
  if (auto synced = context.fs.sync_directory(kBlobsDir); !synced) return fail(synced.error());
  return removed;
}

Result<Removal> remove_models(const RemovalContext& context, const std::vector<ModelName>& names,
                              const std::vector<ModelName>& open, bool dry_run, std::stop_token stop) {
  Manifests manifests(context.fs);
  std::optional<Manifests::Lock> held;
  if (!dry_run) {
    auto lock = manifests.lock(kLockLimit, std::move(stop));
    if (!lock) return fail(lock.error());
    held.emplace(std::move(*lock));
  }
  const auto targets = find_targets(context.fs, names);
  if (!targets) return fail(targets.error());
  Removal removal;
  for (const Target& target : *targets) removal.models.push_back(target.name);
  const auto needed = needed_beside(context.fs, removal.models, &open);
  if (!needed) return fail(needed.error());

  // Manifests first: after a crash in between no model lacks a blob.
  if (!dry_run) {
    for (const ModelName& name : removal.models) {
      if (auto removed = manifests.remove(name); !removed) return fail(removed.error());
    }
  }
  DigestSet seen;
  for (const Target& target : *targets) {
    for (const Digest& digest : target.blobs) {
      if (!seen.insert(digest).second) continue;
      const bool stays = needed->contains(digest) || (context.in_use != nullptr && context.in_use->holds(digest));
      const auto size = stays || dry_run ? size_of_blob(context, digest) : remove_blob(context, digest);
      if (!size) return fail(size.error());
      if (*size && !stays) {
        removal.blobs.push_back({digest, **size});
        removal.freed_bytes += **size;
      } else if (const auto left = size_of_blob(context, digest); left && *left) {
        ++removal.shared_blobs;
      }
    }
  }
  if (dry_run || removal.blobs.empty()) return removal;
  if (auto synced = context.fs.sync_directory(kBlobsDir); !synced) return fail(synced.error());
  return removal;
}

}  // namespace pullama::store
