#include "daemon/store/set_aside.h"

#include "daemon/io/os_error.h"

namespace pullama::store {

Status set_aside(io::FileSystem& fs, const std::string& path) {
  const std::string first = path + ".aside";
  std::string target = first;
  for (int number = 2; fs.stat(target).has_value(); ++number) target = first + "-" + std::to_string(number);
  return fs.rename(path, target);
}

Status clear_way(io::FileSystem& fs, const std::string& path) {
  for (auto slash = path.find('/', path.find('/') + 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    const auto there = fs.stat(folder);
    if (there && there->kind != io::FileStat::Kind::kDirectory) {
      if (auto moved = set_aside(fs, folder); !moved) return moved;
    }
  }
  if (auto made = fs.make_directories(path.substr(0, path.rfind('/'))); !made) return made;
  const auto there = fs.stat(path);
  if (!there) return io::is_missing(there.error()) ? Status() : fail(there.error());
  return there->kind == io::FileStat::Kind::kFile ? Status() : set_aside(fs, path);
}

}  // namespace pullama::store
