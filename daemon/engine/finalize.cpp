#include "daemon/engine/finalize.h"

#include <algorithm>
#include <chrono>

#include "daemon/io/os_error.h"
#include "daemon/store/keep.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/needed.h"
#include "daemon/store/removal.h"
#include "daemon/store/set_aside.h"

namespace pullama::engine {
namespace {

constexpr auto kLockLimit = std::chrono::seconds(60);

// Runs `change` on the blob's file; what the ledger knows of it stays known although its ctime changes.
template <class Change>
Status carried_over(StoreContext& store, const Digest& digest, Change change) {
  const std::string path = store::blob_path(digest);
  const auto before = store.fs.stat(path);
  if (auto changed = change(); !changed) return changed;
  const auto after = store.fs.stat(path);
  if (before && after) store.ledger.carry_over(digest, *before, *after);
  return {};
}

std::vector<Digest> not_in(const manifest::Manifest& manifest, const manifest::Manifest& before) {
  std::vector<Digest> digests;
  for (const manifest::Blob& blob : before.blobs()) {
    const auto same = [&](const manifest::Blob& each) { return each.digest == blob.digest; };
    if (std::none_of(manifest.blobs().begin(), manifest.blobs().end(), same)) digests.push_back(blob.digest);
  }
  return digests;
}

// An Ollama server runs as its own user, and takes an old blob that no manifest names for forgotten. A right blob of
// another owner stays as it is.
Status show_to_ollama(io::FileSystem& fs, const std::string& path) {
  Status done;
  if (auto file = fs.open(path, io::OpenMode::kRead)) done = (*file)->set_mode(0644);
  if (done || done.error().code == ErrorCode::kPermission) done = fs.touch(path);
  if (!done && done.error().code == ErrorCode::kPermission) return {};
  return done;
}

// The manifest is in: the links go, then the note of an unfinished pull, which says that links may be left.
Status end_pending(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest) {
  store::Keep keep(store.fs);
  for (const manifest::Blob& blob : manifest.blobs()) {
    if (auto released = carried_over(store, blob.digest, [&] { return keep.release(blob.digest); }); !released) {
      return fail(released.error());
    }
  }
  auto pending = store::Manifests::pending(store.fs);
  const auto noted = pending.existing_spelling(name);
  if (!noted) return fail(noted.error());
  if (auto removed = pending.remove(*noted); !removed && !io::is_missing(removed.error())) {
    return fail(removed.error());
  }
  return {};
}

}  // namespace

std::optional<Digest> pending_manifest(StoreContext& store, const ModelName& name) {
  auto pending = store::Manifests::pending(store.fs);
  const auto spelled = pending.existing_spelling(name);
  if (!spelled) return std::nullopt;
  const auto before = pending.read(*spelled);
  return before ? std::optional(before->digest()) : std::nullopt;
}

Result<std::vector<Digest>> write_pending(StoreContext& store, const ModelName& name,
                                          const manifest::Manifest& manifest, std::stop_token stop) {
  auto pending = store::Manifests::pending(store.fs);
  const auto lock = pending.lock(kLockLimit, std::move(stop));
  if (!lock) return fail(lock.error());
  const auto spelled = pending.existing_spelling(name);
  if (!spelled) return fail(spelled.error());
  std::vector<Digest> abandoned;
  if (const auto before = pending.read(*spelled)) {
    if (before->raw() == manifest.raw()) return abandoned;
    abandoned = not_in(manifest, *before);
  }
  if (auto cleared = store::clear_way(store.fs, pending.path_of(*spelled)); !cleared) return fail(cleared.error());
  if (auto written = pending.write(*spelled, manifest.raw()); !written) return fail(written.error());
  return abandoned;
}

Status keep_cached(StoreContext& store, const Digest& digest) {
  store::Keep keep(store.fs);
  return carried_over(store, digest, [&] { return keep.hold(digest, store::blob_path(digest)); });
}

Status release_kept(StoreContext& store, const Digest& digest) {
  const auto pending = store::pending_pulls(store.fs);
  if (!pending) return fail(pending.error());
  for (const store::PendingPull& pull : *pending) {
    if (std::find(pull.blobs.begin(), pull.blobs.end(), digest) != pull.blobs.end()) return {};
  }
  return carried_over(store, digest, [&] { return store::Keep(store.fs).release(digest); });
}

Result<bool> write_manifest(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest,
                            const Leftover& leftover, std::stop_token stop) {
  store::Manifests manifests(store.fs);
  const auto lock = manifests.lock(kLockLimit, std::move(stop));
  if (!lock) return fail(lock.error());
  for (const manifest::Blob& blob : manifest.blobs()) {
    const std::string path = store::blob_path(blob.digest);
    const auto there = store.fs.stat(path);
    // Gone again: what keep/ has of it is verified before it gets its name back, by going over the blobs once more.
    if (!there && io::is_missing(there.error())) return false;
    if (!there) return fail(there.error());
    if (there->kind != io::FileStat::Kind::kFile || there->size_bytes != blob.size_bytes) return false;
    if (auto shown = carried_over(store, blob.digest, [&] { return show_to_ollama(store.fs, path); }); !shown) {
      return fail(shown.error());
    }
  }
  if (auto synced = store.fs.sync_directory(store::kBlobsDir); !synced) return fail(synced.error());
  const auto spelled = manifests.existing_spelling(name);
  if (!spelled) return fail(spelled.error());
  std::vector<Digest> unneeded = leftover.abandoned;
  if (const auto before = manifests.read(*spelled); before && leftover.prune) {
    const auto replaced = not_in(manifest, *before);
    unneeded.insert(unneeded.end(), replaced.begin(), replaced.end());
  }
  if (auto written = manifests.write(*spelled, manifest.raw()); !written) return fail(written.error());
  if (auto tidied = end_pending(store, name, manifest); !tidied) return fail(tidied.error());
  // The model is in: what cannot be tidied now is `pullama clean`'s.
  static_cast<void>(store::remove_unneeded({store.fs, &store.ledger, store.in_use}, unneeded));
  return true;
}

Status tidy_interrupted(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest,
                        std::stop_token stop) {
  if (!store.fs.stat(store::kPendingDir)) return {};
  const auto lock = store::Manifests(store.fs).lock(kLockLimit, std::move(stop));
  if (!lock) return fail(lock.error());
  auto pending = store::Manifests::pending(store.fs);
  const auto noted = pending.existing_spelling(name);
  if (!noted) return {};
  if (pending.read(*noted)) return end_pending(store, name, manifest);
  pending.remove_empty_folders(*noted);
  return {};
}

Result<bool> already_installed(StoreContext& store, const ModelName& name, const manifest::Manifest& manifest) {
  store::Manifests manifests(store.fs);
  const auto spelled = manifests.existing_spelling(name);
  if (!spelled) return fail(spelled.error());
  const auto installed = manifests.read(*spelled);
  if (!installed || installed->raw() != manifest.raw()) return false;
  for (const manifest::Blob& blob : manifest.blobs()) {
    const auto stat = store.fs.stat(store::blob_path(blob.digest));
    if (!stat || stat->kind != io::FileStat::Kind::kFile || stat->size_bytes != blob.size_bytes ||
        !store.ledger.is_verified(blob.digest, *stat)) {
      return false;
    }
  }
  return true;
}

}  // namespace pullama::engine
