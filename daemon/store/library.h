#pragma once
// What is installed: the list of models, what the store knows of one, a second name for one. Reads manifests, configs
// and texts only; the weights are the client's to look into (a hostile GGUF must not meet the daemon). Everything that
// a registry wrote is bounded here; making it printable is the client's. Blocking; any thread but control.

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "common/result.h"
#include "daemon/io/file_system.h"
#include "daemon/store/manifests.h"

namespace pullama::store {

struct ListedModel {
  ModelName name;
  std::optional<Digest>
      digest;  // SHA-256 of the manifest's bytes, whose first 12 digits are the ID; none where unreadable
  std::uint64_t size_bytes = 0;           // of layers and config as the manifest states them
  std::int64_t mtime_ns = 0;              // of the manifest
  std::string broken;                     // why it cannot be used: an unreadable manifest, a missing blob; else empty
  std::string remote_host, remote_model;  // of a cloud model, whose weights are elsewhere
};

struct Listing {
  std::vector<ListedModel> models;  // newest first, equal times by name
  // Folders below manifests/ whose models cannot be listed; blobs/, of which nothing is said then.
  std::vector<Error> unreadable;
};

struct ShownLayer {
  std::string media_type;
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::string problem;                   // "missing", "wrong size", "no regular file"; else empty
  std::vector<std::string> shared_with;  // display names of other models that name it
};

struct ShownModel {
  ShownModel(ModelName its_name, const Digest& its_digest) : name(std::move(its_name)), digest(its_digest) {}

  ModelName name;
  Digest digest;
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;
  // From the config; empty where it does not say.
  std::string format, family, parameter_size, quantization;
  std::string remote_host, remote_model;  // of a cloud model, which may have no layers
  std::optional<ShownLayer> config;
  std::vector<ShownLayer> layers;  // in manifest order
  std::vector<std::string> licenses;
  std::string template_text, system_text;
  // Of the params blob, a JSON object: values as text, one entry for each element of an array.
  std::vector<std::pair<std::string, std::string>> parameters;
};

class Library {
 public:
  explicit Library(io::FileSystem& fs) : fs_(fs), manifests_(fs) {}

  // What is broken is listed as such and hides nothing else.
  Result<Listing> list();
  // Found without regard to case. kNotFound where there is none, kCorrupt where its manifest does not parse. A text
  // whose blob is missing, longer than 1 MiB or no UTF-8 is left out.
  Result<ShownModel> show(const ModelName& wanted);
  // A second manifest with the same bytes; one that is there under the destination's name is replaced. Both are found
  // without regard to case. kNotFound, kCorrupt as above; kLocked after 60 s. Gives both names as they are spelled.
  struct Copied {
    ModelName source, destination;
    Digest digest;
  };
  Result<Copied> copy(const ModelName& source, const ModelName& destination, std::stop_token stop);

 private:
  Error not_there(const ModelName& name) const;
  std::optional<ListedModel> look_at(const ModelName& name,
                                     const std::unordered_map<std::string, io::FileStat::Kind>* blobs);

  io::FileSystem& fs_;
  Manifests manifests_;
};

}  // namespace pullama::store
