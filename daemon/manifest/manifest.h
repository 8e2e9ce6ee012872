#pragma once
// A model's manifest: the bytes exactly as the registry sent them (their SHA-256 is the model's ID), and what they say.
// A parsed Manifest has passed every limit for hostile registries (engine.md, registry-protocol.md section 8): callers
// need not check sizes or digests again. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/result.h"

namespace pullama::manifest {

inline constexpr std::uint64_t kMaxManifestBytes = 16ULL << 20;
inline constexpr std::size_t kMaxLayers = 8192;
inline constexpr std::string_view kMediaType = "application/vnd.docker.distribution.manifest.v2+json";

struct Layer {
  std::string media_type;
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::string from;  // empty where the manifest has none
};

// A blob to have: each digest once, config included.
struct Blob {
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::string media_type;
};

class Manifest {
 public:
  // kCorrupt (or kUnsupported for an index, schema 1) with a sentence that names what is wrong.
  static Result<Manifest> parse(std::string raw);

  const std::string& raw() const { return raw_; }
  const Digest& digest() const { return digest_; }  // SHA-256 of raw()
  const std::string& media_type() const { return media_type_; }
  const std::optional<Layer>& config() const { return config_; }
  const std::vector<Layer>& layers() const { return layers_; }
  // Layers in manifest order, then the config; a digest that occurs twice (same size) stands once.
  const std::vector<Blob>& blobs() const { return blobs_; }
  // Sum over blobs(): each digest once.
  std::uint64_t total_bytes() const { return total_bytes_; }
  // Sum of layers and config as the manifest states them, duplicates twice: what `ollama list` shows.
  std::uint64_t stated_bytes() const { return stated_bytes_; }

 private:
  Manifest(std::string raw, Digest digest) : raw_(std::move(raw)), digest_(digest) {}
  std::string raw_;
  Digest digest_;
  std::string media_type_;
  std::optional<Layer> config_;
  std::vector<Layer> layers_;
  std::vector<Blob> blobs_;
  std::uint64_t total_bytes_ = 0, stated_bytes_ = 0;
};

}  // namespace pullama::manifest
