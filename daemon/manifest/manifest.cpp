#include "daemon/manifest/manifest.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/json_text.h"
#include "daemon/io/sha256.h"

namespace pullama::manifest {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 64;
constexpr std::uint64_t kMaxBlobBytes = 1ULL << 53;
constexpr std::uint64_t kMaxSumBytes = std::numeric_limits<std::int64_t>::max();

constexpr std::array<std::string_view, 8> kTopKeys{"schemaVersion", "mediaType", "config",   "layers",
                                                   "manifests",     "errors",    "fsLayers", "signatures"};
constexpr std::array<std::string_view, 5> kLayerKeys{"mediaType", "digest", "size", "from", "name"};
constexpr std::array<std::string_view, 2> kImageTypes{kMediaType, "application/vnd.oci.image.manifest.v1+json"};
constexpr std::array<std::string_view, 2> kIndexTypes{"application/vnd.docker.distribution.manifest.list.v2+json",
                                                      "application/vnd.oci.image.index.v1+json"};

// As Go's decoder, which Ollama reads the stored manifest with, compares keys: without regard to case, and with the two
// letters outside ASCII that fold into it (U+017F long s, U+212A Kelvin sign).
std::string fold(std::string_view key) {
  std::string folded;
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (key.substr(i, 2) == "\xC5\xBF") {
      folded += 's';
      i += 1;
    } else if (key.substr(i, 3) == "\xE2\x84\xAA") {
      folded += 'k';
      i += 2;
    } else {
      folded += key[i] >= 'A' && key[i] <= 'Z' ? static_cast<char>(key[i] - 'A' + 'a') : key[i];
    }
  }
  return folded;
}

// A media type that can be shown as it is; anything else is not repeated.
std::string shown(std::string_view media_type) {
  const auto harmless = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("./+-_;= ").find(c) != std::string_view::npos;
  };
  if (media_type.size() > 120 || !std::all_of(media_type.begin(), media_type.end(), harmless)) return "(unprintable)";
  return "'" + std::string(media_type) + "'";
}

struct Descriptor {
  std::string media_type, digest, from;
  std::optional<std::uint64_t> size;
};

// Walks the document once without building it, so that 16 MiB of brackets cost no more than 16 MiB.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return scalar(Type::kNull, {}, 0); }
  bool boolean(bool) override { return scalar(Type::kOther, {}, 0); }
  // nlohmann calls this for numbers with a minus sign only.
  bool number_integer(number_integer_t) override { return scalar(Type::kOther, {}, 0); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(Type::kUnsigned, {}, value); }
  bool number_float(number_float_t, const string_t&) override { return scalar(Type::kOther, {}, 0); }
  bool string(string_t& value) override { return scalar(Type::kString, std::move(value), 0); }
  bool binary(binary_t&) override { return scalar(Type::kOther, {}, 0); }

  bool start_object(std::size_t) override {
    Place place = Place::kElsewhere;
    if (stack_.empty()) {
      place = Place::kTop;
    } else if (stack_.back() == Place::kLayers) {
      if (layers.size() == kMaxLayers) return refuse("it has more than 8192 layers");
      layers.emplace_back();
      place = Place::kLayer;
    } else if (stack_.back() == Place::kTop) {
      if (key_ == "config") {
        config.emplace();
        place = Place::kConfig;
      } else if (!note_container(false)) {
        return false;
      }
    } else if (!note_container(false)) {
      return false;
    }
    return enter(place);
  }

  bool start_array(std::size_t) override {
    if (stack_.empty()) return refuse("it is a JSON array, not an object");
    if (stack_.back() == Place::kLayers) return refuse(layer_name() + " is not an object");
    if (stack_.back() == Place::kTop && key_ == "layers") return enter(Place::kLayers);
    return note_container(true) && enter(Place::kElsewhere);
  }

  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    key_ = {};
    if (stack_.back() == Place::kTop) return note_key(name, std::span(kTopKeys), seen_top_);
    if (stack_.back() == Place::kConfig || stack_.back() == Place::kLayer) {
      return note_key(name, std::span(kLayerKeys), seen_layer_);
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("it is not valid JSON (at byte " + std::to_string(position) + ")");
  }

  std::string problem;  // empty: accepted so far
  bool is_index = false, is_error = false, is_schema1 = false;
  std::optional<std::uint64_t> schema_version;
  std::string media_type;
  std::optional<Descriptor> config;
  std::vector<Descriptor> layers;

 private:
  enum class Place { kTop, kConfig, kLayers, kLayer, kElsewhere };
  enum class Type { kNull, kString, kUnsigned, kOther };

  bool refuse(std::string why) {
    if (problem.empty()) problem = std::move(why);
    return false;
  }

  bool enter(Place place) {
    if (stack_.size() == kMaxDepth) return refuse("it is nested more than 64 deep");
    if (place == Place::kConfig || place == Place::kLayer) seen_layer_.fill(false);
    stack_.push_back(place);
    return true;
  }

  bool leave() {
    stack_.pop_back();
    key_ = {};
    return true;
  }

  template <std::size_t N, std::size_t M>
  bool note_key(const std::string& name, std::span<const std::string_view, N> known, std::array<bool, M>& seen) {
    static_assert(N <= M);
    for (std::size_t i = 0; i < N; ++i) {
      if (name.size() > known[i].size() + 8 || fold(name) != fold(known[i])) continue;
      // Ollama would read such a key as the real one and see another manifest than we do.
      if (name != known[i]) return refuse("it has a misspelt '" + std::string(known[i]) + "' in " + place_name());
      if (seen[i]) return refuse("it has '" + std::string(known[i]) + "' twice in " + place_name());
      seen[i] = true;
      key_ = known[i];
      break;
    }
    if (stack_.back() == Place::kTop) {
      is_index = is_index || key_ == "manifests";
      is_error = is_error || key_ == "errors";
      is_schema1 = is_schema1 || key_ == "fsLayers" || key_ == "signatures";
    }
    return true;
  }

  // An object or array where something else belongs, or below a key that nobody reads.
  bool note_container(bool array) {
    const bool read_here = stack_.back() == Place::kTop
                               ? key_ == "schemaVersion" || key_ == "mediaType" || key_ == "config" || key_ == "layers"
                               : stack_.back() != Place::kElsewhere && !key_.empty();
    if (!read_here) return true;
    return refuse("'" + std::string(key_) + "' of " + place_name() + " is an " + (array ? "array" : "object"));
  }

  bool scalar(Type type, std::string text, std::uint64_t number) {
    if (stack_.empty()) return refuse("it is not a JSON object");
    const Place place = stack_.back();
    if (place == Place::kLayers) return refuse("an entry of 'layers' is not an object");
    if (place == Place::kElsewhere || key_.empty()) return true;
    if (place == Place::kTop) {
      if (key_ == "schemaVersion") {
        if (type != Type::kUnsigned) return refuse("'schemaVersion' is not a number");
        schema_version = number;
      } else if (key_ == "mediaType") {
        if (type != Type::kString && type != Type::kNull) return refuse("'mediaType' is not a string");
        media_type = std::move(text);
      } else if ((key_ == "config" || key_ == "layers") && type != Type::kNull) {
        return refuse("'" + std::string(key_) + "' is neither an object nor an array");
      }
      return true;
    }
    Descriptor& descriptor = place == Place::kConfig ? *config : layers.back();
    if (key_ == "size") {
      if (type != Type::kUnsigned || number > kMaxBlobBytes) {
        return refuse("the size of " + place_name() + " is not a whole number from 0 to 2^53");
      }
      descriptor.size = number;
      return true;
    }
    if (type != Type::kString && (type != Type::kNull || key_ == "digest")) {
      return refuse("'" + std::string(key_) + "' of " + place_name() + " is not a string");
    }
    if (key_ == "digest") {
      descriptor.digest = std::move(text);
    } else if (key_ == "mediaType") {
      descriptor.media_type = std::move(text);
    } else if (key_ == "from") {
      descriptor.from = std::move(text);
    }
    return true;
  }

  std::string layer_name() const { return "layer " + std::to_string(layers.size()); }
  std::string place_name() const {
    if (stack_.back() == Place::kTop) return "its top level";
    return stack_.back() == Place::kConfig ? "the config" : layer_name();
  }

  std::vector<Place> stack_;
  std::string_view key_;  // the known key whose value comes next; empty for all others
  std::array<bool, kTopKeys.size()> seen_top_{};
  std::array<bool, kLayerKeys.size()> seen_layer_{};
};

tl::unexpected<Error> refused(std::string why, ErrorCode code = ErrorCode::kCorrupt) {
  return fail(code, "the manifest is refused: " + std::move(why));
}

Result<Layer> to_layer(Descriptor& descriptor, const std::string& what) {
  auto digest = Digest::parse(descriptor.digest);
  if (!digest) return refused("the digest of " + what + " is not 'sha256:' and 64 lower-case hex digits");
  if (!descriptor.size) return refused(what + " has no size");
  return Layer{std::move(descriptor.media_type), *digest, *descriptor.size, std::move(descriptor.from)};
}

// What the bytes show before they are read as JSON.
std::string first_sight(std::string_view raw) {
  if (raw.size() > kMaxManifestBytes) return "it is longer than 16 MiB";
  if (raw.starts_with("\xEF\xBB\xBF")) return "it begins with a byte order mark";
  // nlohmann takes a NUL for the end of the text.
  if (raw.find('\0') != std::string_view::npos) return "it holds a NUL byte";
  const auto begin = raw.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return "it is empty";
  if (raw[begin] == '<') return "it is a web page (HTML), perhaps a login or a proxy's";
  return {};
}

}  // namespace

Result<Manifest> Manifest::parse(std::string raw) {
  if (auto problem = first_sight(raw); !problem.empty()) return refused(std::move(problem));
  Reader reader;
  bool read = false;
  try {
    read = !holds_nul(raw) && Json::sax_parse(raw, &reader);
  } catch (const nlohmann::json::exception&) {
    reader.problem = "it is not valid JSON";
  }
  // What it is says more than the first thing that is wrong with it.
  if (reader.is_error) return refused("it is an 'errors' object, not a manifest");
  if (reader.is_index) {
    return refused("it is an index (a list of manifests), which no model is", ErrorCode::kUnsupported);
  }
  if (!read || !reader.problem.empty()) {
    return refused(reader.problem.empty() ? "it is not valid JSON" : std::move(reader.problem));
  }
  const auto is_type = [&](const auto& types) {
    return std::find(types.begin(), types.end(), reader.media_type) != types.end();
  };
  if (is_type(kIndexTypes)) {
    return refused("its media type " + shown(reader.media_type) + " is that of an index", ErrorCode::kUnsupported);
  }
  if (reader.is_schema1 || reader.schema_version.value_or(2) != 2) {
    const auto version = reader.is_schema1 ? 1 : *reader.schema_version;
    return refused("it has schema version " + std::to_string(version) + ", only 2 is supported",
                   ErrorCode::kUnsupported);
  }
  if (!reader.media_type.empty() && !is_type(kImageTypes)) {
    return refused("its media type " + shown(reader.media_type) + " is not a manifest's", ErrorCode::kUnsupported);
  }
  const bool has_config = reader.config && !reader.config->digest.empty();
  if (reader.layers.empty() && !has_config) return refused("it has no layers and no config");

  const Digest digest = io::sha256(std::as_bytes(std::span(raw)));
  Manifest manifest(std::move(raw), digest);
  manifest.media_type_ = std::move(reader.media_type);
  manifest.layers_.reserve(reader.layers.size());
  for (auto& descriptor : reader.layers) {
    auto layer = to_layer(descriptor, "layer " + std::to_string(manifest.layers_.size() + 1));
    if (!layer) return fail(layer.error());
    manifest.layers_.push_back(std::move(*layer));
  }
  if (has_config) {
    auto layer = to_layer(*reader.config, "the config");
    if (!layer) return fail(layer.error());
    manifest.config_ = std::move(*layer);
  }

  std::unordered_map<Digest, std::uint64_t> sizes;
  const auto add = [&](const Layer& layer) -> Status {
    if (layer.size_bytes > kMaxSumBytes - manifest.stated_bytes_) return refused("the sum of its sizes overflows");
    manifest.stated_bytes_ += layer.size_bytes;
    const auto [known, fresh] = sizes.emplace(layer.digest, layer.size_bytes);
    if (fresh) {
      manifest.blobs_.push_back({layer.digest, layer.size_bytes, layer.media_type});
      manifest.total_bytes_ += layer.size_bytes;
    } else if (known->second != layer.size_bytes) {
      return refused("it gives " + layer.digest.str() + " two sizes, " + std::to_string(known->second) + " and " +
                     std::to_string(layer.size_bytes));
    }
    return {};
  };
  for (const auto& layer : manifest.layers_) {
    if (auto added = add(layer); !added) return fail(added.error());
  }
  if (manifest.config_) {
    if (auto added = add(*manifest.config_); !added) return fail(added.error());
  }
  return manifest;
}

}  // namespace pullama::manifest
