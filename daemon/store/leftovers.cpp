#include "daemon/store/leftovers.h"

#include <string>
#include <string_view>

#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

bool is_temporary(std::string_view name, std::string_view prefix) {
  return name.starts_with(prefix) && (name.ends_with(kTemporarySuffix) || name.ends_with(kTrialSuffix));
}

std::size_t sweep(io::FileSystem& fs, const std::string& folder, std::string_view prefix) {
  const auto entries = fs.list(folder);
  if (!entries) return 0;  // a models dir that is new has none of them
  std::size_t count = 0;
  for (const auto& entry : *entries) {
    const bool file = entry.kind == io::FileStat::Kind::kFile || entry.kind == io::FileStat::Kind::kSymlink;
    if (file && is_temporary(entry.name, prefix) && fs.remove(folder + "/" + entry.name)) ++count;
  }
  return count;
}

}  // namespace

std::size_t remove_leftovers(io::FileSystem& fs) {
  // In folders that Ollama and others use too, only what is named as ours.
  return sweep(fs, kManifestsDir, kTemporaryPrefix) + sweep(fs, kBlobsDir, kTemporaryPrefix) +
         sweep(fs, kStateDir, "") + sweep(fs, kKeepDir, "");
}

}  // namespace pullama::store
