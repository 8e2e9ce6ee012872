#include "daemon/store/manifests.h"

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <tuple>

#include "daemon/io/atomic_write.h"
#include "daemon/io/clock.h"
#include "daemon/io/os_error.h"

namespace pullama::store {
namespace {

using Kind = io::FileStat::Kind;

constexpr std::chrono::milliseconds kPoll{20};
constexpr unsigned kManifestMode = 0644;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

using Parts = std::array<std::string, 4>;
Parts parts_of(const ModelName& name) { return {name.host(), name.ns(), name.model(), name.tag()}; }

// The entries of one level of the tree, folders above the last, in no order. A folder that vanished meanwhile is empty.
Result<std::vector<io::DirectoryEntry>> list_level(io::FileSystem& fs, const std::string& path) {
  auto entries = fs.list(path);
  if (!entries && io::is_missing(entries.error())) return std::vector<io::DirectoryEntry>();
  return entries;
}

// Calls `visit` with the name and path of each manifest.
class Scan {
 public:
  using Visit = std::function<Status(ModelName, const std::string& path)>;

  Scan(io::FileSystem& fs, std::vector<Error>* unreadable, Visit visit)
      : fs_(fs), unreadable_(unreadable), visit_(std::move(visit)) {}

  Status run(const std::string& root) { return descend(root, 0); }

 private:
  Status descend(const std::string& path, std::size_t depth) {
    auto entries = list_level(fs_, path);
    if (!entries) return depth == 0 ? fail(entries.error()) : passed_over(entries.error());
    for (const io::DirectoryEntry& entry : *entries) {
      parts_[depth] = entry.name;
      const std::string below = path + "/" + entry.name;
      if (depth + 1 < parts_.size()) {
        // Ollama follows these; below the models dir we follow nothing, but what is behind them is not nothing.
        if (entry.kind == Kind::kSymlink) {
          if (auto done = passed_over(io::os_error("open", fs_.native_path(below), ELOOP)); !done) return done;
        }
        if (entry.kind != Kind::kDirectory) continue;
        if (auto done = descend(below, depth + 1); !done) return done;
      } else if (entry.kind == Kind::kFile || entry.kind == Kind::kSymlink) {
        auto name = ModelName::from_parts(parts_[0], parts_[1], parts_[2], parts_[3]);
        if (!name) continue;
        if (auto done = visit_(std::move(*name), below); !done) return done;
      }
    }
    return {};
  }

  Status passed_over(const Error& error) {
    if (unreadable_ == nullptr) return fail(error);
    unreadable_->push_back(error);
    return {};
  }

  io::FileSystem& fs_;
  std::vector<Error>* unreadable_;
  Visit visit_;
  Parts parts_;
};

// What a crash left. Only we make these, under the lock that the caller holds.
Status remove_old_temporaries(io::FileSystem& fs, const std::string& folder) {
  auto entries = list_level(fs, folder);
  if (!entries) return fail(entries.error());
  for (const io::DirectoryEntry& entry : *entries) {
    if (entry.kind == Kind::kDirectory || !entry.name.starts_with(kTemporaryPrefix) ||
        !entry.name.ends_with(kTemporarySuffix)) {
      continue;
    }
    if (auto removed = fs.remove(folder + "/" + entry.name); !removed) return removed;
  }
  return {};
}

}  // namespace

Result<Manifests::Lock> Manifests::lock(std::chrono::milliseconds limit, std::stop_token stop) {
  if (auto made = fs_.make_directories(kStateDir); !made) return fail(made.error());
  const io::SystemClock clock;
  const auto deadline = clock.now() + limit;
  while (true) {
    auto file = fs_.open(kManifestsLock, io::OpenMode::kReadWriteCreate, 0644);
    if (!file) return fail(file.error());
    auto locked = (*file)->try_lock();
    if (!locked) return fail(locked.error());
    if (*locked) {
      auto ours = (*file)->stat();
      if (!ours) return fail(ours.error());
      auto there = fs_.stat(kManifestsLock);
      if (there && there->same_file(*ours)) return Lock(std::move(*file));
      if (!there && !io::is_missing(there.error())) return fail(there.error());
      continue;  // the file was removed by hand between open and lock
    }
    if (clock.now() >= deadline) {
      return fail(ErrorCode::kLocked, "another pullama changes the models in " + fs_.native_path("."),
                  "try again in a moment");
    }
    if (!clock.sleep_for(kPoll, stop)) {
      return fail(ErrorCode::kCancelled, "stopped while waiting for " + fs_.native_path(kManifestsLock));
    }
  }
}

Result<ModelName> Manifests::existing_spelling(const ModelName& name) {
  std::vector<Error> unreadable;  // what cannot be read cannot be met either
  auto installed = names(&unreadable);
  if (!installed) return fail(installed.error());
  const Parts wanted = parts_of(name);
  Parts best = wanted;
  std::tuple<std::size_t, std::size_t> best_rank{0, 0};
  for (const ModelName& there : *installed) {
    Parts parts = parts_of(there);
    std::size_t same = 0, exact = 0;
    while (same < parts.size() && equal_ignoring_case(parts[same], wanted[same])) {
      if (parts[same] == wanted[same]) ++exact;
      ++same;
    }
    std::copy(wanted.begin() + static_cast<std::ptrdiff_t>(same), wanted.end(),
              parts.begin() + static_cast<std::ptrdiff_t>(same));
    const std::tuple rank{same, exact};
    if (rank > best_rank || (rank == best_rank && same > 0 && parts < best)) {
      best_rank = rank;
      best = std::move(parts);
    }
  }
  return ModelName::from_parts(best[0], best[1], best[2], best[3]);
}

Result<std::vector<InstalledManifest>> Manifests::scan(std::vector<Error>* unreadable) {
  std::vector<InstalledManifest> found;
  const auto add = [&](ModelName name, const std::string& path) -> Status {
    auto stat = fs_.stat(path);
    if (stat) {
      found.push_back({std::move(name), path, stat->mtime_ns});
    } else if (!io::is_missing(stat.error())) {
      if (unreadable == nullptr) return fail(stat.error());
      unreadable->push_back(stat.error());
    }
    return {};
  };
  if (auto done = Scan(fs_, unreadable, add).run(root_); !done) return fail(done.error());
  return found;
}

Result<std::vector<ModelName>> Manifests::names(std::vector<Error>* unreadable) {
  std::vector<ModelName> found;
  const auto add = [&](ModelName name, const std::string&) -> Status {
    found.push_back(std::move(name));
    return {};
  };
  if (auto done = Scan(fs_, unreadable, add).run(root_); !done) return fail(done.error());
  return found;
}

Result<manifest::Manifest> Manifests::read(const ModelName& name) {
  std::int64_t mtime_ns = 0;
  return read(name, mtime_ns);
}

Result<manifest::Manifest> Manifests::read(const ModelName& name, std::int64_t& mtime_ns) {
  const std::string path = path_of(name);
  const auto corrupt = [&](const std::string& why) {
    return fail(ErrorCode::kCorrupt, "read " + fs_.native_path(path) + ": " + why,
                "pull the model again, or remove it with `pullama rm`");
  };
  auto file = fs_.open(path, io::OpenMode::kRead);
  if (!file) return fail(file.error());
  auto stat = (*file)->stat();
  if (!stat) return fail(stat.error());
  mtime_ns = stat->mtime_ns;
  if (stat->size_bytes > manifest::kMaxManifestBytes) return corrupt("is longer than a manifest may be (16 MiB)");
  std::string raw(stat->size_bytes, '\0');
  auto got = (*file)->read_at(0, std::as_writable_bytes(std::span(raw)));
  if (!got) return fail(got.error());
  raw.resize(*got);
  auto parsed = manifest::Manifest::parse(std::move(raw));
  if (!parsed) return corrupt(parsed.error().message);
  return parsed;
}

Status Manifests::write(const ModelName& name, const std::string& raw) {
  const std::string path = path_of(name);
  if (auto made = fs_.make_directories(path.substr(0, path.rfind('/'))); !made) return made;
  if (auto there = fs_.stat(path)) {
    if (there->kind != Kind::kFile) {
      const bool link = there->kind == Kind::kSymlink;
      return fail(ErrorCode::kPermission,
                  "write " + fs_.native_path(path) + ": " +
                      (link ? "a symbolic link lies there" : "something that is no regular file lies there"),
                  "move it away and try again");
    }
  } else if (!io::is_missing(there.error())) {
    return fail(there.error());
  }
  if (auto removed = remove_old_temporaries(fs_, temporaries_); !removed) return removed;
  return io::atomic_write(fs_, path, raw, kManifestMode, temporary_in(temporaries_));
}

Status Manifests::remove(const ModelName& name) {
  std::string path = path_of(name);
  if (auto removed = fs_.remove(path); !removed) return removed;
  while (true) {
    path.resize(path.rfind('/'));
    if (auto synced = fs_.sync_directory(path); !synced) return synced;
    if (path == kManifestsDir || path == kStateDir) return {};
    // Not empty, or not ours to remove: an empty folder harms nobody.
    if (!fs_.remove_directory(path)) return {};
  }
}

void Manifests::remove_empty_folders(const ModelName& name) {
  std::string path = path_of(name);
  while (true) {
    path.resize(path.rfind('/'));
    if (path == kManifestsDir || path == kStateDir) return;
    const auto removed = fs_.remove_directory(path);
    if (!removed && !io::is_missing(removed.error())) return;
  }
}

}  // namespace pullama::store
