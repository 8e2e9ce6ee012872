#include "daemon/queue/queue_file.h"

#include <fmt/core.h>
#include <array>
#include <ctime>

#include "daemon/io/atomic_write.h"
#include "daemon/io/os_error.h"

namespace pullama::queue {
namespace {

std::string compact_time(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
  return std::string(text.data(), length);
}

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Result<std::string> set_aside(io::FileSystem& fs, const std::string& path, std::int64_t now_ms) {
  const std::string first = fmt::format("{}.corrupt-{}", path, compact_time(now_ms));
  std::string target = first;
  for (int number = 2; fs.stat(target).has_value(); ++number) target = fmt::format("{}-{}", first, number);
  if (auto renamed = fs.rename(path, target); !renamed) return fail(renamed.error());
  if (auto synced = fs.sync_directory(folder_of(path)); !synced) return fail(synced.error());
  return target;
}

}  // namespace

Result<Decoded> load(io::FileSystem& fs, const std::string& path, const std::string& models_dir, std::int64_t now_ms) {
  const auto text = fs.read_file(path, kMaxQueueFileBytes);
  if (!text && io::is_missing(text.error())) return Decoded{};
  // Longer than any queue is corrupt as well; everything else that cannot be read must not be replaced later.
  if (!text && text.error().code != ErrorCode::kCorrupt) return fail(text.error());
  auto decoded = text ? decode(*text, models_dir) : Result<Decoded>(fail(text.error()));
  if (decoded) return decoded;
  const auto aside = set_aside(fs, path, now_ms);
  if (!aside) return fail(aside.error());
  Decoded empty;
  empty.warnings.push_back(fmt::format("{} could not be used ({}); it is kept as {} and the queue starts empty",
                                       fs.native_path(path), decoded.error().message, fs.native_path(*aside)));
  return empty;
}

Status save(io::FileSystem& fs, const std::string& path, std::string_view text) {
  if (text.size() > kMaxQueueFileBytes) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("the queue would take {} bytes, and at most {} are read again at the next start",
                            text.size(), kMaxQueueFileBytes),
                "remove entries that are finished: pullama queue clear");
  }
  if (auto made = fs.make_directories(folder_of(path)); !made) return made;
  return io::atomic_write(fs, path, text, 0600);
}

}  // namespace pullama::queue
