#include "daemon/store/needed.h"

#include <algorithm>
#include <optional>
#include <set>

#include "daemon/io/os_error.h"
#include "daemon/store/manifests.h"

namespace pullama::store {

Result<DigestSet> named_by_manifests(io::FileSystem& fs, const std::vector<ModelName>& except) {
  Manifests manifests(fs);
  DigestSet named;
  const auto installed = manifests.names();
  if (!installed) return fail(installed.error());
  std::optional<Error> fault;
  std::set<std::string> unreadable;  // of `except` too: only all of them together can be removed
  for (const ModelName& name : *installed) {
    const bool stays = std::find(except.begin(), except.end(), name) == except.end();
    const auto read = manifests.read(name);
    if (!read && io::is_missing(read.error())) continue;  // removed since, by another program
    if (!read) {
      unreadable.insert(name.display());
      if (!stays || fault) continue;
      fault = read.error();
      fault->message = "what " + name.display() + " needs is not known, so nothing is removed: " + fault->message;
      continue;
    }
    if (!stays) continue;
    for (const manifest::Blob& blob : read->blobs()) named.insert(blob.digest);
  }
  if (!fault) return named;
  fault->hint = "pull what is broken again, or remove it at once: pullama rm";
  for (const std::string& name : unreadable) fault->hint += " " + name;
  return fail(std::move(*fault));
}

Result<std::vector<PendingPull>> pending_pulls(io::FileSystem& fs) {
  Manifests pending = Manifests::pending(fs);
  std::vector<PendingPull> pulls;
  const auto names = pending.names();
  if (!names) return fail(names.error());
  for (const ModelName& name : *names) {
    PendingPull pull{name, {}};
    if (const auto read = pending.read(name)) {
      for (const manifest::Blob& blob : read->blobs()) pull.blobs.push_back(blob.digest);
    }
    pulls.push_back(std::move(pull));
  }
  return pulls;
}

bool is_among(const std::vector<ModelName>& names, const ModelName& name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const ModelName& each) { return each.equals_ignoring_case(name); });
}

}  // namespace pullama::store
