#include "daemon/store/daemon_lock.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "common/json_text.h"
#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxBytes = 64 << 10;

std::optional<DaemonIdentity> parse_identity(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (holds_nul(text) || !json.is_object()) return std::nullopt;
  const auto pid = json.find("pid");
  const auto uid = json.find("uid");
  const auto socket = json.find("socket");
  if (pid == json.end() || !pid->is_number_integer() || uid == json.end() || !uid->is_number_unsigned() ||
      socket == json.end() || !socket->is_string()) {
    return std::nullopt;
  }
  if (uid->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  DaemonIdentity identity;
  identity.pid = pid->get<std::int64_t>();
  identity.uid = uid->get<std::uint32_t>();
  identity.socket = socket->get<std::string>();
  // A relative path would mean another place in each reader's folder.
  if (!identity.socket.starts_with('/') || identity.socket.find('\0') != std::string::npos) return std::nullopt;
  return identity;
}

Error held_error(const std::string& models_dir, const std::optional<DaemonIdentity>& holder) {
  Error error{ErrorCode::kLocked, "another pullamad works in " + models_dir, {}, 0};
  if (holder) {
    error.message += " (pid " + std::to_string(holder->pid) + ", socket " + holder->socket + ")";
    error.hint = "use that one: --socket " + holder->socket;
  }
  return error;
}

}  // namespace

Result<DaemonLock> DaemonLock::acquire(io::FileSystem& fs, const DaemonIdentity& self,
                                       std::optional<DaemonIdentity>& holder) {
  holder.reset();
  if (auto made = fs.make_directories(kStateDir); !made) return fail(made.error());
  while (true) {
    auto file = fs.open(kDaemonLock, io::OpenMode::kReadWriteCreate, 0644);
    if (!file) return fail(file.error());
    auto locked = (*file)->try_lock();
    if (!locked) return fail(locked.error());
    if (!*locked) {
      if (auto text = fs.read_file(kDaemonLock, kMaxBytes)) holder = parse_identity(*text);
      return fail(held_error(fs.native_path("."), holder));
    }
    DaemonLock lock(fs, std::move(*file));
    auto counts = lock.still_ours();
    if (!counts) return fail(counts.error());
    if (!*counts) continue;  // removed under us, by hand; the one that is there now decides
    if (auto told = lock.announce(self); !told) return fail(told.error());
    return lock;
  }
}

Result<bool> DaemonLock::still_ours() const {
  auto ours = file_->stat();
  if (!ours) return fail(ours.error());
  auto there = fs_->stat(kDaemonLock);
  if (!there && io::is_missing(there.error())) return false;
  if (!there) return fail(there.error());
  return there->same_file(*ours);
}

Status DaemonLock::announce(const DaemonIdentity& self) {
  const Json json = {{"version", 1}, {"pid", self.pid}, {"uid", self.uid}, {"socket", self.socket}};
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (auto cut = file_->truncate(0); !cut) return cut;
  return file_->write_at(0, std::as_bytes(std::span(text)));
}

}  // namespace pullama::store
