// What doctor looks at in the models dir.
#include <fmt/core.h>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "common/printable.h"
#include "common/size_text.h"
#include "daemon/doctor.h"
#include "daemon/engine/space.h"
#include "daemon/engine/writable.h"
#include "daemon/io/file_system_posix.h"
#include "daemon/io/os_error.h"
#include "daemon/store/models_dir.h"

namespace pullama {
namespace {

using std::chrono::seconds;

constexpr seconds kDiskLimit{10};
// Less than most models.
constexpr std::uint64_t kLittleBytes = 5'000'000'000;
// Where people tell Ollama's service about its environment; its drop-ins lie in a folder beside it.
constexpr const char* kOllamaUnit = "/etc/systemd/system/ollama.service";

Result<std::unique_ptr<io::PosixFileSystem>> opened(const std::string& models_dir) {
  return io::PosixFileSystem::open(models_dir, false);
}

Finding failed(const char* check, const Error& error, const char* hint) {
  return {check, kFailed, printable(error.message, 500), error.hint.empty() ? hint : printable(error.hint, 500)};
}

std::vector<Finding> look_at_store(const std::string& models_dir, Stores& stores) {
  const std::string shown = printable(models_dir, 300);
  const auto fs = opened(models_dir);
  if (!fs && io::is_missing(fs.error())) {
    return {{"store", kFailed, fmt::format("there is no {} yet", shown),
             "the first pull makes it; where another was meant, see --models-dir and $OLLAMA_MODELS"}};
  }
  if (!fs) return {failed("store", fs.error(), "see who owns it")};
  if (auto taken = stores.writable(models_dir); !taken) return {failed("store", taken.error(), "see who owns it")};
  return {{"store", kOk, fmt::format("{} is ours to write into", shown), ""}};
}

std::vector<Finding> look_at_permissions(const std::string& models_dir) {
  const auto fs = opened(models_dir);
  if (!fs) return {failed("permissions", fs.error(), "see who owns it")};
  const auto model = ModelName::parse("doctor");
  if (auto tried = engine::try_writing(**fs, store::manifest_path(*model)); !tried) {
    return {failed("permissions", tried.error(), "run the daemon as the owner of the models dir")};
  }
  return {{"permissions", kOk, "files can be made, synced and renamed in manifests, blobs and .pullm", ""}};
}

Status try_link(io::FileSystem& fs) {
  const std::string from = std::string(store::kBlobsDir) + "/.pullm-linking" + store::kTrialSuffix;
  const std::string to = std::string(store::kStateDir) + "/.pullm-linked" + store::kTrialSuffix;
  if (auto left = fs.remove(to); !left && !io::is_missing(left.error())) return left;
  if (auto made = fs.open(from, io::OpenMode::kReadWriteCreate, 0600); !made) return fail(made.error());
  const auto linked = fs.link(from, to);
  const auto undone = linked ? fs.remove(to) : Status();
  if (auto removed = fs.remove(from); !removed) return removed;
  return linked ? undone : linked;
}

// Whether Ollama's server is told not to tidy up at its start, as far as we can see.
std::string noprune_seen_in(const Configured& configured) {
  const auto own = configured.from.find("noprune");
  if (configured.config.noprune && own != configured.from.end() && own->second.starts_with('$')) return own->second;
  std::vector<std::filesystem::path> units{kOllamaUnit};
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(kOllamaUnit) + ".d", none)) {
    if (entry.path().extension() == ".conf") units.push_back(entry.path());
  }
  for (const auto& path : units) {
    std::ifstream unit(path);
    for (std::string line; std::getline(unit, line);) {
      const bool is_set = line.starts_with("Environment") && line.find("OLLAMA_NOPRUNE=") != std::string::npos;
      if (is_set) return path.string();
    }
  }
  return {};
}

std::vector<Finding> look_at_links(const std::string& models_dir, const Configured& configured) {
  const auto fs = opened(models_dir);
  if (!fs) return {failed("hard_links", fs.error(), "see who owns it")};
  const auto linked = try_link(**fs);
  std::vector<Finding> found;
  if (linked) {
    found.push_back({"hard_links", kOk, "blobs and .pullm can share files", ""});
  } else {
    found.push_back({"hard_links", kWarning,
                     fmt::format("blobs and .pullm share no files: {}", printable(linked.error().message, 400)),
                     "keep both on one file system that has hard links"});
  }
  const auto noprune = noprune_seen_in(configured);
  if (!noprune.empty()) {
    found.push_back({"prune", kOk, fmt::format("Ollama is told to delete nothing at its start ({})", noprune), ""});
  } else if (linked) {
    found.push_back(
        {"prune", kOk, "an Ollama server deletes at its start what no model names; hard links bring ours back", ""});
  } else {
    found.push_back({"prune", kWarning,
                     "an Ollama server deletes unfinished downloads that are older than an hour at its start",
                     "set OLLAMA_NOPRUNE=1 for it (systemctl edit ollama)"});
  }
  return found;
}

std::vector<Finding> look_at_space(const std::string& models_dir) {
  const auto fs = opened(models_dir);
  // The store's check says so.
  if (!fs && io::is_missing(fs.error())) return {{"space", kSkipped, "not looked at, for there is no folder yet", ""}};
  if (!fs) return {failed("space", fs.error(), "see who owns it")};
  auto free = (*fs)->free_bytes(store::kBlobsDir);
  if (!free) free = (*fs)->free_bytes(".");
  if (!free) return {failed("space", free.error(), "see `df`")};
  const std::string text = fmt::format("{} free for {}", format_size(*free), printable(models_dir, 300));
  const char* hint = "try pullama clean, pullama rm of what you do not use, or another models dir";
  if (*free <= engine::kSpaceReserveBytes) return {{"space", kFailed, text + ": the disk is full", hint}};
  if (*free < kLittleBytes) return {{"space", kWarning, text + ": less than most models need", hint}};
  return {{"space", kOk, text, ""}};
}

}  // namespace

std::vector<Check> store_checks(const Patient& patient) {
  const std::string dir = patient.models_dir;
  const auto road = std::make_shared<bool>(false);
  return {
      {"store", kDiskLimit,
       [dir, &stores = patient.stores](const std::stop_token&) { return look_at_store(dir, stores); }, road},
      {"permissions", kDiskLimit, [dir](const std::stop_token&) { return look_at_permissions(dir); }, road},
      {"hard_links",
       kDiskLimit,
       [dir, configured = patient.configured](const std::stop_token&) { return look_at_links(dir, configured); },
       road,
       {"prune"}},
      {"space", kDiskLimit, [dir](const std::stop_token&) { return look_at_space(dir); }},
  };
}

}  // namespace pullama
