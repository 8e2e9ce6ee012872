#include "tests/crash/promises.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "daemon/engine/checkpoint.h"
#include "daemon/io/sha256.h"
#include "daemon/manifest/manifest.h"
#include "daemon/store/models_dir.h"

namespace pullama::testing {
namespace {

using Kind = io::FileStat::Kind;
constexpr std::uint64_t kLargest = 1 << 24;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void walk(io::FileSystem& fs, const std::string& folder, std::map<std::string, std::string>& into) {
  const auto entries = fs.list(folder);
  if (!entries) return;
  for (const auto& entry : *entries) {
    const std::string path = folder == "." ? entry.name : folder + "/" + entry.name;
    if (entry.kind == Kind::kDirectory) {
      into[path + "/"] = "";
      walk(fs, path, into);
    } else {
      const auto text = fs.read_file(path, kLargest);
      into[path] = text ? *text : "(" + text.error().message + ")";
    }
  }
}

// The name under which the partial lies that a checkpoint speaks of.
std::optional<std::string> file_with_inode(io::FileSystem& fs, const Digest& digest, std::uint64_t inode) {
  for (const std::string& path : {store::partial_path(digest), store::keep_path(digest), store::blob_path(digest),
                                  store::ollama_partial_path(digest)}) {
    const auto stat = fs.stat(path);
    if (stat && stat->inode == inode) return path;
  }
  return std::nullopt;
}

// Of a partial that is there, by a checkpoint that counts.
std::uint64_t claimed_bytes(io::FileSystem& fs, const Digest& digest, std::uint64_t size) {
  const auto text = fs.read_file(store::checkpoint_path(digest), engine::kMaxCheckpointBytes);
  if (!text) return 0;
  const auto parsed = engine::parse_checkpoint(*text, digest, size);
  return parsed && file_with_inode(fs, digest, parsed->inode) ? parsed->plan.received_bytes() : 0;
}

class Inspection {
 public:
  Inspection(io::FileSystem& fs, const Truth& truth, const Said& said)
      : fs_(fs), truth_(truth), said_(said), tree_(tree(fs)) {}

  std::vector<std::string> run() {
    for (const auto& [path, content] : tree_) {
      blob(path, content);
      manifest(path, content);
    }
    for (const auto& [digest, content] : truth_.contents) checkpoint(digest, content);
    words();
    return std::move(broken_);
  }

 private:
  template <class... Args>
  void broken(int promise, fmt::format_string<Args...> text, Args&&... args) {
    broken_.push_back(fmt::format("promise {}: {}", promise, fmt::format(text, std::forward<Args>(args)...)));
  }

  void blob(const std::string& path, const std::string& content) {
    if (!path.starts_with("blobs/")) return;
    const auto digest = Digest::parse_file_name(path.substr(6));
    if (!digest) return;
    if (io::sha256(bytes_of(content)) != *digest) broken(4, "{} does not have its digest", path);
  }

  void manifest(const std::string& path, const std::string& content) {
    if (!path.starts_with("manifests/") || path.ends_with("/")) return;
    if (std::count(path.begin(), path.end(), '/') < 4) return;  // where no scan looks for models
    if (path != store::manifest_path(truth_.model)) {
      broken(5, "{} lies where a manifest would be listed", path);
      return;
    }
    if (std::find(truth_.manifests.begin(), truth_.manifests.end(), content) == truth_.manifests.end()) {
      broken(3, "{} is neither the old manifest nor the new one", path);
      return;
    }
    const auto parsed = manifest::Manifest::parse(content);
    if (!parsed) {
      broken(5, "{} is no manifest: {}", path, parsed.error().message);
      return;
    }
    for (const auto& wanted : parsed->blobs()) {
      const auto there = tree_.find(store::blob_path(wanted.digest));
      if (there == tree_.end()) broken(5, "{} is visible without {}", path, wanted.digest.str());
    }
  }

  void checkpoint(const Digest& digest, const std::string& content) {
    const auto text = tree_.find(store::checkpoint_path(digest));
    if (text == tree_.end()) return;
    const auto parsed = engine::parse_checkpoint(text->second, digest, content.size());
    if (!parsed) {
      broken(3, "{}: {}", text->first, parsed.error().message);
      return;
    }
    const auto path = file_with_inode(fs_, digest, parsed->inode);
    if (!path) {
      // The names are durable before the first checkpoint, and the finished blob has another one's inode only when
      // the checkpoint means nothing any more.
      if (!tree_.contains(store::blob_path(digest))) broken(2, "{} speaks of a file that is gone", text->first);
      return;
    }
    const std::string& bytes = tree_.at(*path);
    for (const auto& chunk : parsed->plan.chunks()) {
      if (bytes.compare(chunk.start, chunk.received, content, chunk.start, chunk.received) != 0) {
        broken(2, "{} claims bytes {} to {}, which {} does not have", text->first, chunk.start, chunk.next(), *path);
      }
    }
  }

  void words() {
    const auto finished = [&](const Digest& digest) { return tree_.contains(store::blob_path(digest)); };
    for (const Digest& digest : said_.finished) {
      if (!finished(digest)) broken(2, "{} was said to be finished", digest.str());
    }
    for (const auto& [digest, bytes] : said_.saved) {
      if (!finished(digest) && claimed_bytes(fs_, digest, truth_.contents.at(digest).size()) < bytes) {
        broken(2, "{} bytes of {} were said to be saved", bytes, digest.str());
      }
    }
    const auto manifest = tree_.find(store::manifest_path(truth_.model));
    if (said_.installed && (manifest == tree_.end() || manifest->second != truth_.manifests.back())) {
      broken(1, "the model was said to be installed");
    }
  }

  io::FileSystem& fs_;
  const Truth& truth_;
  const Said& said_;
  const std::map<std::string, std::string> tree_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_promises(io::FileSystem& fs, const Truth& truth, const Said& said) {
  return Inspection(fs, truth, said).run();
}

std::uint64_t safe_bytes(io::FileSystem& fs, const Truth& truth) {
  std::uint64_t sum = 0;
  for (const auto& [digest, content] : truth.contents) {
    const bool finished = fs.stat(store::blob_path(digest)).has_value();
    sum += finished ? content.size() : claimed_bytes(fs, digest, content.size());
  }
  return sum;
}

std::map<std::string, std::string> tree(io::FileSystem& fs) {
  std::map<std::string, std::string> found;
  walk(fs, ".", found);
  return found;
}

std::string difference(const std::map<std::string, std::string>& expected,
                       const std::map<std::string, std::string>& found) {
  std::string text;
  for (const auto& [path, content] : expected) {
    const auto there = found.find(path);
    if (there == found.end()) {
      text += path + " is missing; ";
    } else if (there->second != content) {
      text += path + " has other content; ";
    }
  }
  for (const auto& [path, content] : found) {
    if (!expected.contains(path)) text += path + " is left over; ";
  }
  return text;
}

}  // namespace pullama::testing
