#pragma once
// A pull's fixture with installed models and a registry in memory that takes pushes.

#include <filesystem>
#include <fstream>

#include "daemon/engine/push.h"
#include "daemon/store/models_dir.h"
#include "tests/daemon/engine/pull_fixture.h"

namespace pullama::testing {

inline constexpr std::uint64_t kChunk = 1 << 20;

struct PushFixture : PullFixture {
  engine::PushRequest push_request{.model = *ModelName::parse("mem.test/ns/m"), .chunk_bytes = kChunk};
  MemoryUploads& up = registry.uploads();
  std::string manifest;

  // Installed as "mem.test/<repository>:latest".
  std::string install(const std::string& repository, const std::vector<std::string>& blobs) {
    std::filesystem::create_directories(path("blobs"));
    for (const auto& blob : blobs) {
      std::ofstream(path(store::blob_path(registry.add_blob(blob))), std::ios::binary) << blob;
    }
    const auto json = registry.add_model(repository, "latest", blobs);
    const auto file = path("manifests/mem.test/" + repository + "/latest");
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << json;
    return json;
  }

  Result<engine::PullSummary> push(std::stop_token stop = {}) {
    engine::Push job({registry, clock, credentials, rate}, {*fs, *ledger, space}, push_request, sink);
    return job.run(std::move(stop));
  }

  std::size_t requests(const std::string& method, const std::string& part) const {
    const auto log = registry_log();
    return static_cast<std::size_t>(std::count_if(log.begin(), log.end(), [&](const Upload& upload) {
      return upload.method == method && upload.url.find(part) != std::string::npos;
    }));
  }
  std::vector<Upload> registry_log() const { return const_cast<PushFixture*>(this)->up.log(); }
  bool at_registry(const std::string& blob) {
    return up.blob("ns/m", registry.add_blob(blob).str()) == std::optional(blob);
  }
  std::string upload_file(const std::string& blob) { return store::upload_path(registry.add_blob(blob)); }
};

inline UploadAnswer refusal(int status, const std::string& code, std::vector<pullama::registry::Header> headers = {}) {
  return {status, std::move(headers), R"({"errors":[{"code":")" + code + R"(","message":")" + code + R"("}]})"};
}

}  // namespace pullama::testing
