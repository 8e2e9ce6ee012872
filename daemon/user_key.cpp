#include "daemon/user_key.h"

#include <cerrno>
#include <filesystem>
#include <span>

#include "daemon/io/file_system_posix.h"
#include "daemon/io/os_error.h"
#include "daemon/registry/secret_file.h"
#include "daemon/registry/ssh_key.h"

namespace pullama {
namespace {

tl::unexpected<Error> cannot_make(const std::string& path, Error error) {
  error.message = "cannot make " + path + ": " + error.message;
  return fail(std::move(error));
}

Status fill(io::FileSystem& fs, const std::string& name, const std::string& text, unsigned mode) {
  auto file = fs.open(name, io::OpenMode::kCreateNew, mode);
  if (!file) return fail(file.error());
  if (auto set = (*file)->set_mode(mode); !set) return set;
  if (auto written = (*file)->write_at(0, std::as_bytes(std::span(text))); !written) return written;
  return (*file)->sync_all();
}

// A whole file or none, and never in the place of another.
Status make_new(io::FileSystem& fs, const std::string& name, const std::string& text, unsigned mode) {
  const std::string temporary = name + "." + registry::random_nonce() + ".tmp";
  auto made = fill(fs, temporary, text, mode);
  if (made) made = fs.link(temporary, name);
  auto removed = fs.remove(temporary);
  const bool has_no_links = !made && (made.error().code == ErrorCode::kUnsupported || made.error().os_error == EPERM);
  if (has_no_links && removed) {
    made = fill(fs, name, text, mode);
    if (!made && made.error().os_error != EEXIST) static_cast<void>(fs.remove(name));
  }
  if (!made) return made;
  return removed;
}

// The public half, as the .pub file has it.
Result<std::string> make_key(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string name = file.filename().string();
  const std::string public_name = name + ".pub";
  std::error_code none;
  if (std::filesystem::is_symlink(file, none)) {
    return fail(ErrorCode::kAuthFailed, path + " is a link to nowhere, so no key was made",
                "remove the link, or bring back what it points to");
  }
  const auto fs = io::PosixFileSystem::open(file.parent_path().string(), true);
  if (!fs) return cannot_make(path, fs.error());
  const auto there = (*fs)->stat(public_name);
  if (there) {
    return fail(ErrorCode::kAuthFailed, "there is a " + path + ".pub without its key " + path + ", so none was made",
                "bring the key back, or move the .pub file away and ask again");
  }
  if (!io::is_missing(there.error())) return cannot_make(path, there.error());
  const auto key = registry::SshKey::generate();
  if (!key) return fail(key.error());
  std::string text = (*key)->openssh_text();
  const auto made = make_new(**fs, name, text, 0600);
  registry::wipe(text);
  if (!made) return cannot_make(path, made.error());
  const std::string line = (*key)->public_line();
  if (auto written = make_new(**fs, public_name, line + "\n", 0644); !written) {
    return cannot_make(path + ".pub", written.error());
  }
  if (auto synced = (*fs)->sync_directory("."); !synced) return cannot_make(path, synced.error());
  return line;
}

}  // namespace

Result<proto::KeyResult> user_key(const registry::CredentialPaths& paths, bool create) {
  const std::string& path = paths.key_file;
  const auto key = registry::SshKey::load(path);
  if (key) return proto::KeyResult{path, paths.user, (*key)->public_line(), false};
  if (key.error().code != ErrorCode::kNotFound) return fail(key.error());
  if (!create) return fail(ErrorCode::kAuthFailed, "there is no key at " + path, "make one with: pullama key create");
  auto made = make_key(path);
  if (!made) return fail(made.error());
  return proto::KeyResult{path, paths.user, std::move(*made), true};
}

}  // namespace pullama
