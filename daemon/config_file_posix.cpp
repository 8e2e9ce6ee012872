#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/user_folders.h"
#include "daemon/config_file.h"
#include "daemon/io/descriptor_posix.h"

namespace pullama {
namespace {

constexpr std::size_t kMostBytes = 64U << 10;

Result<std::string> read_trusted(const std::string& path) {
  const auto os_fault = [&](int fault) {
    return fail(fault == ENOENT || fault == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kPermission,
                fmt::format("{} cannot be read: {}", path, std::strerror(fault)), {}, fault);
  };
  // Not blocking: it might be a pipe that nobody writes to.
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.valid()) return os_fault(errno);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return os_fault(errno);
  if (!S_ISREG(info.st_mode)) return fail(ErrorCode::kPermission, fmt::format("{} is no file", path));
  if (info.st_uid != ::geteuid() && info.st_uid != 0) {
    return fail(ErrorCode::kPermission, fmt::format("{} belongs to another user (uid {})", path, info.st_uid));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return fail(ErrorCode::kPermission, fmt::format("{} can be written by others", path));
  }
  std::string text;
  std::array<char, 8192> buffer{};
  for (;;) {
    const ssize_t count = io::uninterrupted([&] { return ::read(file.get(), buffer.data(), buffer.size()); });
    if (count < 0) return os_fault(errno);
    if (count == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > kMostBytes) return fail(ErrorCode::kPermission, fmt::format("{} is longer than 64 KiB", path));
  }
}

}  // namespace

ConfigFiles read_config_files(const std::vector<std::string>& paths, const std::vector<ConfigFile>& before) {
  ConfigFiles result;
  for (const std::string& path : paths) {
    auto text = read_trusted(path);
    if (text) {
      result.files.push_back({path, std::move(*text)});
    } else if (text.error().code != ErrorCode::kNotFound) {
      const auto old = std::find_if(before.begin(), before.end(), [&](const auto& file) { return file.path == path; });
      if (old != before.end()) result.files.push_back(*old);
      result.warnings.push_back(text.error().message +
                                (old == before.end() ? "; it is not used" : "; what it said before stays"));
    }
  }
  return result;
}

std::vector<std::string> config_paths(const Environment& environment, const std::string& home) {
  std::vector<std::string> paths{kMachineConfig};
  std::string base = environment("HOME").value_or("");
  if (base.empty()) base = home;
  const std::string folder = user_folder(environment("XDG_CONFIG_HOME").value_or(""), base, ".config");
  if (!folder.empty()) paths.push_back(folder + "/pullama/pullamad.conf");
  return paths;
}

}  // namespace pullama
