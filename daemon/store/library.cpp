#include "daemon/store/library.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <thread>
#include <unordered_map>

#include "common/utf8.h"
#include "daemon/io/os_error.h"
#include "daemon/io/thread_start.h"
#include "daemon/store/model_texts.h"
#include "daemon/store/models_dir.h"

namespace pullama::store {
namespace {

constexpr std::uint64_t kMaxTextBytes = 1 << 20;
constexpr std::chrono::seconds kLockLimit{60};
constexpr std::size_t kMostHelpers = 7;
constexpr std::size_t kModelsAHelper = 100;
constexpr std::string_view kImagePrefix = "application/vnd.ollama.image.";
constexpr std::string_view kWeights = "application/vnd.ollama.image.model";

using Kind = io::FileStat::Kind;

// What blobs/ holds, by name. One listing is quicker than a look at each blob of each model.
Result<std::unordered_map<std::string, Kind>> blob_kinds(io::FileSystem& fs) {
  std::unordered_map<std::string, Kind> kinds;
  auto entries = fs.list(kBlobsDir);
  if (!entries && io::is_missing(entries.error())) return kinds;
  if (!entries) return fail(entries.error());
  for (io::DirectoryEntry& entry : *entries) kinds.emplace(std::move(entry.name), entry.kind);
  return kinds;
}

// Why a layer's blob cannot be used; empty where nothing is known against it.
std::string problem_of(io::FileSystem& fs, const manifest::Layer& layer) {
  const auto stat = fs.stat(blob_path(layer.digest));
  if (!stat) return io::is_missing(stat.error()) ? "missing" : "";
  if (stat->kind != Kind::kFile) return "no regular file";
  return stat->size_bytes == layer.size_bytes ? "" : "wrong size";
}

// The texts of one model: each bounded, and all of them together.
class Texts {
 public:
  explicit Texts(io::FileSystem& fs) : fs_(fs) {}

  // The beginning of one that is longer than what is left, and says so; U+FFFD for what is no UTF-8. Empty where it
  // cannot be read.
  std::string read(const Digest& digest) {
    auto file = fs_.open(blob_path(digest), io::OpenMode::kRead);
    if (!file) return {};
    const auto stat = (*file)->stat();
    if (!stat || stat->kind != io::FileStat::Kind::kFile) return {};
    std::string bytes(static_cast<std::size_t>(std::min(stat->size_bytes, left_)), '\0');
    const auto got = (*file)->read_at(0, std::as_writable_bytes(std::span(bytes)));
    if (!got) return {};
    bytes.resize(*got);
    std::string text = with_valid_utf8(bytes);
    left_ -= std::min<std::uint64_t>(text.size(), left_);
    if (stat->size_bytes > bytes.size()) text += fmt::format("\n[cut off here: {} bytes in all]", stat->size_bytes);
    return text;
  }

 private:
  io::FileSystem& fs_;
  std::uint64_t left_ = kMaxTextBytes;
};

void add_text(ShownModel& model, std::string_view kind, std::string text) {
  if (text.empty()) return;
  if (kind == "license") {
    model.licenses.push_back(std::move(text));
  } else if (kind == "template" || (kind == "prompt" && model.template_text.empty())) {
    model.template_text = std::move(text);  // "prompt" is what old models call it
  } else if (kind == "system") {
    model.system_text = std::move(text);
  } else if (kind == "params") {
    model.parameters = parse_parameters(text);
  }
}

}  // namespace

// Nothing where it was removed between the scan and now.
std::optional<ListedModel> Library::look_at(const ModelName& name, const std::unordered_map<std::string, Kind>* blobs) {
  ListedModel model{name, std::nullopt, 0, 0, {}, {}, {}};
  const auto read = manifests_.read(name, model.mtime_ns);
  if (!read && io::is_missing(read.error())) return std::nullopt;
  if (!read) {
    model.broken = read.error().message;
    // What could not be opened has a time all the same.
    if (auto stat = fs_.stat(manifest_path(name))) model.mtime_ns = stat->mtime_ns;
    return model;
  }
  model.digest = read->digest();
  model.size_bytes = read->stated_bytes();
  for (const manifest::Blob& blob : read->blobs()) {
    if (blobs == nullptr) break;
    const auto found = blobs->find(blob.digest.file_name());
    if (found != blobs->end() && found->second == Kind::kFile) continue;
    model.broken = "its blob " + fs_.native_path(blob_path(blob.digest)) +
                   (found == blobs->end() ? " is missing" : " is no regular file");
    break;
  }
  const auto is_weights = [](const manifest::Layer& layer) { return layer.media_type == kWeights; };
  if (read->config() && std::none_of(read->layers().begin(), read->layers().end(), is_weights)) {
    const ModelConfig config = parse_config(Texts(fs_).read(read->config()->digest));
    model.remote_host = config.remote_host;
    model.remote_model = config.remote_model;
  }
  return model;
}

Result<Listing> Library::list() {
  Listing listing;
  auto installed = manifests_.names(&listing.unreadable);
  if (!installed) return fail(installed.error());
  const auto blobs = blob_kinds(fs_);
  if (!blobs) listing.unreadable.push_back(blobs.error());

  std::vector<std::optional<ListedModel>> looked(installed->size());
  std::atomic<std::size_t> next{0};
  const auto look_at_rest = [&] {
    for (std::size_t i = next++; i < looked.size(); i = next++)
      looked[i] = look_at((*installed)[i], blobs ? &*blobs : nullptr);
  };
  {
    // Reading a manifest is some forty microseconds; a large store is waited for.
    std::vector<std::jthread> helpers;
    const std::size_t wanted = std::min(kMostHelpers, looked.size() / kModelsAHelper);
    while (helpers.size() < std::min<std::size_t>(wanted, std::thread::hardware_concurrency())) {
      auto helper = io::start_thread(look_at_rest);
      if (!helper) break;  // fewer do
      helpers.push_back(std::move(*helper));
    }
    look_at_rest();
  }
  for (auto& model : looked) {
    if (model) listing.models.push_back(std::move(*model));
  }
  std::sort(listing.models.begin(), listing.models.end(), [](const ListedModel& a, const ListedModel& b) {
    return a.mtime_ns != b.mtime_ns ? a.mtime_ns > b.mtime_ns : a.name < b.name;
  });
  return listing;
}

Result<ShownModel> Library::show(const ModelName& wanted) {
  std::vector<Error> unreadable;
  auto spelled = manifests_.existing_spelling(wanted);
  if (!spelled) return fail(spelled.error());
  const ModelName& name = *spelled;
  std::int64_t mtime_ns = 0;
  auto read = manifests_.read(name, mtime_ns);
  if (!read && io::is_missing(read.error())) return fail(not_there(wanted));
  if (!read) return fail(read.error());

  ShownModel model(name, read->digest());
  model.size_bytes = read->stated_bytes();
  model.mtime_ns = mtime_ns;
  std::unordered_map<Digest, std::vector<std::string>> users;
  for (const manifest::Blob& blob : read->blobs()) users.emplace(blob.digest, std::vector<std::string>());
  auto installed = manifests_.names(&unreadable);
  if (!installed) return fail(installed.error());
  for (const ModelName& other : *installed) {
    if (other == name) continue;
    auto theirs = manifests_.read(other);
    if (!theirs) continue;
    for (const manifest::Blob& blob : theirs->blobs()) {
      if (auto user = users.find(blob.digest); user != users.end()) user->second.push_back(other.display());
    }
  }
  for (auto& [digest, names] : users) std::sort(names.begin(), names.end());

  const auto shown = [&](const manifest::Layer& layer) {
    return ShownLayer{layer.media_type, layer.digest, layer.size_bytes, problem_of(fs_, layer), users[layer.digest]};
  };
  Texts texts(fs_);
  if (read->config()) {
    model.config = shown(*read->config());
    const ModelConfig config = parse_config(texts.read(read->config()->digest));
    model.format = config.format;
    model.family = config.family;
    model.parameter_size = config.parameter_size;
    model.quantization = config.quantization;
    model.remote_host = config.remote_host;
    model.remote_model = config.remote_model;
  }
  for (const manifest::Layer& layer : read->layers()) {
    model.layers.push_back(shown(layer));
    const std::string_view type = layer.media_type;
    if (!type.starts_with(kImagePrefix)) continue;
    const std::string_view kind = type.substr(kImagePrefix.size());
    if (kind == "license" || kind == "template" || kind == "prompt" || kind == "system" || kind == "params") {
      add_text(model, kind, texts.read(layer.digest));
    }
  }
  return model;
}

Error Library::not_there(const ModelName& name) const {
  return {ErrorCode::kNotFound, "the model " + name.display() + " is not in " + fs_.native_path("."),
          "`pullama list` shows what is there", 0};
}

Result<Library::Copied> Library::copy(const ModelName& source, const ModelName& destination, std::stop_token stop) {
  const auto lock = manifests_.lock(kLockLimit, std::move(stop));
  if (!lock) return fail(lock.error());
  const auto from = manifests_.existing_spelling(source);
  if (!from) return fail(from.error());
  const auto read = manifests_.read(*from);
  if (!read && io::is_missing(read.error())) return fail(not_there(source));
  if (!read) return fail(read.error());
  const auto to = manifests_.existing_spelling(destination);
  if (!to) return fail(to.error());
  if (*to != *from) {
    if (auto written = manifests_.write(*to, read->raw()); !written) return fail(written.error());
  }
  return Copied{*from, *to, read->digest()};
}

}  // namespace pullama::store
