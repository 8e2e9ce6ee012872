#include "daemon/store/cleaning.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "daemon/io/os_error.h"
#include "daemon/store/blob_lock.h"
#include "daemon/store/manifests.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/needed.h"

namespace pullama::store {
namespace {

using Kind = io::FileStat::Kind;

constexpr auto kLockLimit = std::chrono::seconds(60);

// All that lies about of one digest. Emptied from left to right: what speaks of a partial goes before it.
struct Litter {
  std::vector<std::string> files;  // state files, links in keep/, partials, set aside
  bool has_lock = false;
};

struct Place {
  const char* folder;
  std::string_view prefix, suffix;
};
// sha256-<hex> stands between prefix and suffix. Ollama's own names (-partial, .tmp) are not ours to tidy.
constexpr Place kPlaces[] = {
    {kStateDir, "", ".json"},    {kStateDir, "", ".json.tmp"}, {kKeepDir, "", ""},
    {kKeepDir, "", ".tmp"},      {kStateDir, "", ".unsynced"}, {kStateDir, "", ".unsynced.tmp"},
    {kStateDir, "damaged-", ""}, {kBlobsDir, "", ".partial"},  {kBlobsDir, "", ".damaged"},
};
constexpr std::string_view kUploadPrefix = "upload-";

std::optional<Digest> between(std::string_view name, std::string_view prefix, std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() < prefix.size() + suffix.size()) return {};
  const auto digest = Digest::parse_file_name(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()));
  return digest ? std::optional(*digest) : std::nullopt;
}

// .pullm/upload-<hex>.json, and its temporary.
std::optional<Digest> upload_of(std::string_view name) {
  if (name.ends_with(kTemporarySuffix)) name.remove_suffix(std::string_view(kTemporarySuffix).size());
  if (!name.starts_with(kUploadPrefix) || !name.ends_with(".json")) return {};
  name = name.substr(kUploadPrefix.size(), name.size() - kUploadPrefix.size() - 5);
  const auto digest = Digest::parse_file_name("sha256-" + std::string(name));
  return digest ? std::optional(*digest) : std::nullopt;
}

class Cleaner {
 public:
  Cleaner(const RemovalContext& context, const CleanRequest& request)
      : context_(context), fs_(context.fs), request_(request) {}

  Result<Cleaning> run() {
    for (const auto step :
         {&Cleaner::read_owners, &Cleaner::read_litter, &Cleaner::read_unreferenced, &Cleaner::remove_litter,
          &Cleaner::remove_unreferenced, &Cleaner::remove_pending, &Cleaner::remove_temporaries}) {
      if (auto done = (this->*step)(); !done) return fail(done.error());
    }
    if (!request_.dry_run) {
      for (const std::string& folder : touched_) {
        if (auto synced = fs_.sync_directory(folder); !synced) return fail(synced.error());
      }
    }
    result_.unfinished_models.assign(whose_.begin(), whose_.end());
    return std::move(result_);
  }

 private:
  // Blobs of transfers that will go on: of pulls by their pending manifests, of pushes by the installed ones.
  Status read_owners() {
    auto pending = pending_pulls(fs_);
    if (!pending) return fail(pending.error());
    pending_ = std::move(*pending);
    for (const PendingPull& pull : pending_) own(pull.name, pull.blobs);
    Manifests manifests(fs_);
    for (const auto* names : {&request_.busy, &request_.unfinished}) {
      for (const ModelName& wanted : *names) {
        const auto name = manifests.existing_spelling(wanted);
        if (!name) return fail(name.error());
        const auto read = manifests.read(*name);
        if (!read) continue;
        std::vector<Digest> blobs;
        for (const manifest::Blob& blob : read->blobs()) blobs.push_back(blob.digest);
        own(wanted, blobs);
      }
    }
    return {};
  }

  void own(const ModelName& name, const std::vector<Digest>& blobs) {
    if (is_among(request_.busy, name)) {
      busy_.insert(blobs.begin(), blobs.end());
    } else if (is_among(request_.unfinished, name)) {
      for (const Digest& digest : blobs) unfinished_[digest].push_back(name.display());
    }
  }

  Result<std::vector<io::DirectoryEntry>> entries_of(const char* folder) const {
    auto entries = fs_.list(folder);
    if (!entries && io::is_missing(entries.error())) return std::vector<io::DirectoryEntry>();
    if (entries) {
      std::sort(entries->begin(), entries->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
      std::erase_if(*entries, [](const auto& entry) { return entry.kind == Kind::kDirectory; });
    }
    return entries;
  }

  Status read_litter() {
    std::map<std::string_view, std::vector<io::DirectoryEntry>> folders;
    for (const char* folder : {kStateDir, kKeepDir, kBlobsDir}) {
      auto entries = entries_of(folder);
      if (!entries) return fail(entries.error());
      folders[folder] = std::move(*entries);
    }
    for (const Place& place : kPlaces) {
      for (const io::DirectoryEntry& entry : folders[place.folder]) {
        if (const auto digest = between(entry.name, place.prefix, place.suffix)) {
          litter_[*digest].files.push_back(std::string(place.folder) + "/" + entry.name);
        }
      }
    }
    for (const io::DirectoryEntry& entry : folders[kStateDir]) {
      if (const auto digest = upload_of(entry.name)) {
        litter_[*digest].files.push_back(std::string(kStateDir) + "/" + entry.name);
      }
    }
    for (const io::DirectoryEntry& entry : folders[kBlobsDir]) {
      if (const auto digest = between(entry.name, "", ".lock")) litter_[*digest].has_lock = true;
      if (const auto digest = between(entry.name, "", "")) final_blobs_.push_back(*digest);
    }
    return {};
  }

  Status read_unreferenced() {
    if (!request_.unreferenced) return {};
    const auto named = named_by_manifests(fs_, {});
    if (!named) return fail(named.error());
    std::erase_if(final_blobs_, [&](const Digest& digest) { return named->contains(digest); });
    return {};
  }

  bool stays_for_unfinished(const Digest& digest) const {
    return !request_.take_unfinished && unfinished_.contains(digest);
  }

  // What removing `path` frees when all of `going` goes with it.
  Result<std::uint64_t> frees(const std::string& path, const std::vector<std::string>& going,
                              std::set<std::pair<std::uint64_t, std::uint64_t>>& counted) const {
    const auto stat = fs_.stat(path);
    if (!stat && io::is_missing(stat.error())) return 0;
    if (!stat) return fail(stat.error());
    std::uint64_t names = 0;
    for (const std::string& other : going) {
      const auto there = fs_.stat(other);
      if (there && there->same_file(*stat)) ++names;
    }
    if (names < stat->links || !counted.emplace(stat->device, stat->inode).second) return 0;
    return stat->size_bytes;
  }

  Status remove_litter() {
    for (const auto& [digest, litter] : litter_) {
      if (busy_.contains(digest)) continue;
      Status done;
      const auto work = [&, &digest = digest, &litter = litter] { done = remove_of(digest, litter); };
      if (context_.in_use == nullptr) {
        work();
      } else {
        context_.in_use->unless_held(digest, work);
      }
      if (!done) return done;
    }
    return {};
  }

  // Another process transfers it. Changes nothing.
  Result<bool> is_locked(const Digest& digest) const {
    const auto file = fs_.open(blob_lock_path(digest), io::OpenMode::kRead);
    if (!file && io::is_missing(file.error())) return false;
    if (!file) return fail(file.error());
    const auto locked = (*file)->try_lock();
    if (!locked) return fail(locked.error());
    return !*locked;
  }

  Status remove_of(const Digest& digest, const Litter& litter) {
    std::optional<BlobLock> lock;
    if (request_.dry_run || stays_for_unfinished(digest)) {
      const auto locked = is_locked(digest);
      if (!locked) return fail(locked.error());
      if (*locked) return {};
    } else {
      auto acquired = BlobLock::try_acquire(fs_, digest);
      if (!acquired) return fail(acquired.error());
      if (!*acquired) return {};
      lock.emplace(std::move(**acquired));
    }
    // Sizes before anything goes: partial and keep/ are one file with two names, and the last one carries its size.
    std::vector<CleanedFile> files;
    std::set<std::pair<std::uint64_t, std::uint64_t>> counted;
    for (auto path = litter.files.rbegin(); path != litter.files.rend(); ++path) {
      const auto size = frees(*path, litter.files, counted);
      if (!size) return fail(size.error());
      files.insert(files.begin(), CleanedFile{*path, *size});
    }
    if (stays_for_unfinished(digest)) {
      for (const CleanedFile& file : files) result_.unfinished_bytes += file.size_bytes;
      const auto& names = unfinished_.at(digest);
      if (!files.empty()) whose_.insert(names.begin(), names.end());
      return {};
    }
    const auto before = fs_.stat(blob_path(digest));
    for (const CleanedFile& file : files) {
      if (auto removed = remove_file(file); !removed) return removed;
    }
    // A link less changes the ctime of the blob that it was a second name of.
    const auto after = fs_.stat(blob_path(digest));
    if (before && after && context_.ledger != nullptr) context_.ledger->carry_over(digest, *before, *after);
    if (litter.has_lock) note({blob_lock_path(digest), 0});
    return lock ? lock->release() : Status();
  }

  Status remove_file(const CleanedFile& file) {
    if (!request_.dry_run) {
      auto removed = fs_.remove(file.path);
      if (!removed && io::is_missing(removed.error())) return {};
      if (!removed) return removed;
      touched_.insert(file.path.substr(0, file.path.rfind('/')));
    }
    note(file);
    return {};
  }

  void note(CleanedFile file) {
    result_.freed_bytes += file.size_bytes;
    result_.removed.push_back(std::move(file));
  }

  Status remove_unreferenced() {
    if (!request_.unreferenced) return {};
    for (const Digest& digest : final_blobs_) {
      if (busy_.contains(digest) || stays_for_unfinished(digest)) continue;
      const auto stat = fs_.stat(blob_path(digest));
      if (!stat || (context_.in_use != nullptr && context_.in_use->holds(digest))) continue;
      if (!request_.dry_run) {
        const auto size = remove_blob(context_, digest);
        if (!size) return fail(size.error());
        if (!*size) continue;
        touched_.insert(kBlobsDir);
      }
      note({blob_path(digest), stat->size_bytes});
    }
    return {};
  }

  Status remove_pending() {
    Manifests pending = Manifests::pending(fs_);
    for (const PendingPull& pull : pending_) {
      if (is_among(request_.busy, pull.name)) continue;
      if (!request_.take_unfinished && is_among(request_.unfinished, pull.name)) continue;
      // One that has begun since holds its blobs; it writes its manifest under the lock that we have.
      if (context_.in_use != nullptr && std::any_of(pull.blobs.begin(), pull.blobs.end(), [&](const Digest& digest) {
            return context_.in_use->holds(digest);
          })) {
        continue;
      }
      const std::string path = pending.path_of(pull.name);
      const auto stat = fs_.stat(path);
      if (!stat) continue;
      if (!request_.dry_run) {
        if (auto removed = pending.remove(pull.name); !removed) return removed;
      }
      note({path, stat->size_bytes});
    }
    return {};
  }

  // Manifests are written under the lock that we have, so what is there of them is a leftover.
  Status remove_temporaries() {
    const auto entries = entries_of(kManifestsDir);
    if (!entries) return fail(entries.error());
    for (const io::DirectoryEntry& entry : *entries) {
      if (!entry.name.starts_with(kTemporaryPrefix) || !entry.name.ends_with(kTemporarySuffix)) continue;
      const std::string path = std::string(kManifestsDir) + "/" + entry.name;
      const auto stat = fs_.stat(path);
      if (auto removed = remove_file({path, stat ? stat->size_bytes : 0}); !removed) return removed;
    }
    return {};
  }

  const RemovalContext& context_;
  io::FileSystem& fs_;
  const CleanRequest& request_;
  std::vector<PendingPull> pending_;
  DigestSet busy_;
  std::map<Digest, std::vector<std::string>> unfinished_;
  std::map<Digest, Litter> litter_;
  std::vector<Digest> final_blobs_;
  std::set<std::string> touched_, whose_;
  Cleaning result_;
};

}  // namespace

Result<Cleaning> clean(const RemovalContext& context, const CleanRequest& request, std::stop_token stop) {
  std::optional<Manifests::Lock> held;
  if (!request.dry_run) {
    auto lock = Manifests(context.fs).lock(kLockLimit, std::move(stop));
    if (!lock) return fail(lock.error());
    held.emplace(std::move(*lock));
  }
  return Cleaner(context, request).run();
}

}  // namespace pullama::store
