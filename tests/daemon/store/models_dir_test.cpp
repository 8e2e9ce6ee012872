#include "daemon/store/models_dir.h"

#include <doctest/doctest.h>

namespace pullama::store {
namespace {

TEST_CASE("every name on disk is where the documents say") {
  const std::string hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  const Digest digest = *Digest::parse("sha256:" + hex);
  CHECK(blob_path(digest) == "blobs/sha256-" + hex);
  CHECK(partial_path(digest) == "blobs/sha256-" + hex + ".partial");
  CHECK(blob_lock_path(digest) == "blobs/sha256-" + hex + ".lock");
  CHECK(checkpoint_path(digest) == ".pullm/sha256-" + hex + ".json");
  CHECK(upload_path(digest) == ".pullm/upload-" + hex + ".json");
  CHECK(keep_path(digest) == ".pullm/keep/sha256-" + hex);
  CHECK(ollama_partial_path(digest) == "blobs/sha256-" + hex + "-partial");
  CHECK(ollama_part_path(digest, 12) == "blobs/sha256-" + hex + "-partial-12");
  CHECK(manifest_path(*ModelName::parse("llama3.2")) == "manifests/registry.ollama.ai/library/llama3.2/latest");
  CHECK(manifest_path(*ModelName::parse("localhost:5000/ns/M:Q4")) == "manifests/localhost:5000/ns/M/Q4");
}

TEST_CASE("a manifest's temporary lies directly below manifests and is another one each time") {
  const std::string path = temporary_in(kManifestsDir);
  CHECK(path.starts_with("manifests/.pullm-"));
  CHECK(path.ends_with(".tmp"));
  CHECK(path.find('/', std::string("manifests/").size()) == std::string::npos);
  CHECK(path != temporary_in(kManifestsDir));
}

}  // namespace
}  // namespace pullama::store
