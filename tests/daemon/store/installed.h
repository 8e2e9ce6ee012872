#pragma once
// A models dir in memory with models written straight into it.

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "daemon/io/file_system_posix.h"
#include "daemon/io/sha256.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::testing {

inline Digest digest_of(const std::string& content) { return io::sha256(std::as_bytes(std::span(content))); }

struct InstalledModels {
  TempDir dir{TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));

  // Layers with these contents, no config.
  static std::string manifest_of(const std::vector<std::string>& contents) {
    std::string raw =
        R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","layers":[)";
    for (const std::string& content : contents) {
      if (raw.back() == '}') raw += ",";
      raw += R"({"mediaType":"application/vnd.ollama.image.model","digest":")" + digest_of(content).str() +
             R"(","size":)" + std::to_string(content.size()) + "}";
    }
    return raw + "]}";
  }
  std::string install(const std::string& name, const std::vector<std::string>& contents) const {
    for (const std::string& content : contents) dir.write(blob(content), content);
    const std::string raw = manifest_of(contents);
    dir.write(manifest(name), raw);
    return raw;
  }
  // The manifest of a pull that is not finished.
  void note_pending(const std::string& name, const std::vector<std::string>& contents) const {
    dir.write(std::string(store::kPendingDir) + "/" + ModelName::parse(name)->path(), manifest_of(contents));
  }
  void link(const std::string& from, const std::string& to) const {
    std::filesystem::create_directories((dir.path() / to).parent_path());
    std::filesystem::create_hard_link(dir / from, dir / to);
  }

  static std::string manifest(const std::string& name) { return store::manifest_path(*ModelName::parse(name)); }
  static std::string blob(const std::string& content) { return store::blob_path(digest_of(content)); }
  bool has(const std::string& path) const { return dir.exists(path); }
  bool has_blob(const std::string& content) const { return has(blob(content)); }
};

inline std::vector<ModelName> names(const std::vector<std::string>& texts) {
  std::vector<ModelName> parsed;
  for (const std::string& text : texts) parsed.push_back(*ModelName::parse(text));
  return parsed;
}

}  // namespace pullama::testing
