#include "daemon/stores.h"

#include <fmt/core.h>
#include <spdlog/spdlog.h>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <thread>

#include "daemon/io/file_system_posix.h"
#include "daemon/io/os_error.h"
#include "daemon/store/leftovers.h"

namespace pullama {
namespace {

Error held_by_another(const std::string& models_dir, const std::optional<store::DaemonIdentity>& holder) {
  if (!holder) {
    return {ErrorCode::kLocked, fmt::format("the models dir {} is held by another pullamad", models_dir),
            "stop that one, or use its socket", 0};
  }
  return {ErrorCode::kLocked,
          fmt::format("the models dir {} is held by another pullamad (pid {})", models_dir, holder->pid),
          fmt::format("use that one: --socket {}", holder->socket), 0};
}

// Whether the folder that was opened is still the one at its path.
bool is_at_its_path(const Store& store) {
  const auto now = io::PosixFileSystem::open(store.models_dir, false);
  if (!now) return false;
  const auto there = (*now)->stat(".");
  const auto opened = store.fs->stat(".");
  return there && opened && there->same_file(*opened);
}

Error not_ours(Error error) {
  if (error.code == ErrorCode::kPermission && error.hint.empty()) {
    error.hint = "run the daemon as the owner of the models dir, or choose another with --models-dir";
  }
  return error;
}

// A path that no folder can have, or where none can be made (/proc), is the asker's mistake.
Error about_path(Error error) {
  const int fault = error.os_error;
  if (fault == ENOTDIR || fault == ENAMETOOLONG || fault == ELOOP || fault == ENOENT) {
    error.code = ErrorCode::kInvalidArgument;
    if (error.hint.empty())
      error.hint = "--models-dir names the models dir, else $OLLAMA_MODELS, else ~/.ollama/models";
  }
  return error;
}

// One name for the folder, whichever way led to it: two jobs for one model in one store would be in each other's way,
// in this process and in the next one that reads queue.json.
std::string name_of(const std::string& models_dir) {
  std::error_code error;
  const auto name = std::filesystem::canonical(models_dir, error);
  return error ? models_dir : name.string();
}

}  // namespace

// Two paths may lead to one folder; a second lock on it would meet our own.
Store* Stores::known(const std::string& models_dir) {
  for (const auto& store : stores_) {
    std::error_code error;
    if (store->gone) continue;
    if (store->models_dir == models_dir || std::filesystem::equivalent(store->models_dir, models_dir, error)) {
      return store.get();
    }
  }
  return nullptr;
}

Status Stores::lock(Store& store) {
  std::optional<store::DaemonIdentity> holder;
  auto held = store::DaemonLock::acquire(*store.fs, self_, holder);
  // One that has just taken it says a moment later who it is.
  for (int tries = 0; !held && held.error().code == ErrorCode::kLocked && !holder && tries < 5; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    held = store::DaemonLock::acquire(*store.fs, self_, holder);
  }
  if (!held && held.error().code == ErrorCode::kLocked) return fail(held_by_another(store.models_dir, holder));
  if (!held) return fail(not_ours(held.error()));
  store.lock = std::move(*held);
  return {};
}

Result<Store*> Stores::writable(const std::string& models_dir) {
  const std::lock_guard guard(mutex_);
  if (Store* store = known(models_dir)) {
    if (is_at_its_path(*store)) {
      const auto ours = store->lock->still_ours();
      if (!ours) return fail(ours.error());
      if (*ours) return store;
      if (auto locked = lock(*store); !locked) return fail(locked.error());
      return store;
    }
    store->gone = true;
  }
  auto fs = io::PosixFileSystem::open(models_dir, true);
  if (!fs) return fail(not_ours(about_path(fs.error())));
  auto store = std::make_unique<Store>();
  store->models_dir = stores_.empty() ? models_dir : name_of(models_dir);  // the first is the daemon's own
  store->fs = std::move(*fs);
  if (auto locked = lock(*store); !locked) return fail(locked.error());
  if (const std::size_t swept = store::remove_leftovers(*store->fs); swept > 0) {
    spdlog::info("{}: removed {} temporaries that a crash left", models_dir, swept);
  }
  store->ledger = store::Ledger::open(*store->fs, [](const std::string& text) { spdlog::warn("{}", text); });
  return stores_.emplace_back(std::move(store)).get();
}

Result<std::shared_ptr<io::FileSystem>> Stores::readable(const std::string& models_dir) {
  const std::lock_guard lock(mutex_);
  if (Store* store = known(models_dir); store != nullptr && is_at_its_path(*store)) {
    // Stores live as long as the process; the empty owner only lends.
    return std::shared_ptr<io::FileSystem>(std::shared_ptr<void>(), store->fs.get());
  }
  auto fs = io::PosixFileSystem::open(models_dir, false);
  if (!fs && io::is_missing(fs.error())) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("there is no models dir {}", models_dir),
                "--models-dir names it, else $OLLAMA_MODELS, else ~/.ollama/models");
  }
  if (!fs) return fail(about_path(fs.error()));
  return std::shared_ptr<io::FileSystem>(std::move(*fs));
}

Result<std::shared_ptr<io::FileSystem>> Stores::looking(const std::string& models_dir) {
  std::filesystem::path path = models_dir;
  auto fs = readable(path.string());
  while (!fs && fs.error().code == ErrorCode::kInvalidArgument && path.has_relative_path()) {
    path = path.parent_path();
    fs = readable(path.string());
  }
  return fs;
}

store::InUse* Stores::known_in_use(const std::string& models_dir) {
  const std::lock_guard lock(mutex_);
  Store* store = known(models_dir);
  return store == nullptr ? nullptr : &store->in_use;
}

void Stores::release() {
  const std::lock_guard guard(mutex_);
  stores_.clear();
}

Status Stores::announce(const std::string& socket) {
  const std::lock_guard lock(mutex_);
  self_.socket = socket;
  for (const auto& store : stores_) {
    if (store->gone) continue;
    if (auto said = store->lock->announce(self_); !said) return said;
  }
  return {};
}

}  // namespace pullama
