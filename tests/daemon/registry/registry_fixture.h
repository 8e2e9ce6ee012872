#pragma once
// A Registry over a FakeHttp, with a key and a Docker config that tests fill in.

#include <string>
#include <vector>

#include "daemon/registry/base64.h"
#include "daemon/registry/credentials.h"
#include "daemon/registry/registry.h"
#include "tests/support/http/fake_http.h"
#include "tests/support/io/fake_clock.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::testing {

inline const std::string kHexA(64, 'a');

struct RegistryFixture {
  explicit RegistryFixture(std::string name = "r.example", bool insecure_host = false) : host(std::move(name)) {
    options.insecure = insecure_host;
    options.on_request = [this](const registry::RequestTrace& trace) { traces.push_back(trace); };
    options.on_token_refresh = [this](int attempt) { refreshes.push_back(attempt); };
  }

  registry::Registry make() { return {http, clock, credentials, host, options}; }
  ModelName model() const { return *ModelName::from_parts(host, "library", "m", "t"); }
  std::string base() const { return (options.insecure ? "http://" : "https://") + host; }
  std::string manifest_url() const { return base() + "/v2/library/m/manifests/t"; }
  std::string blob_url() const { return base() + "/v2/library/m/blobs/sha256:" + kHexA; }
  Digest digest() const { return *Digest::parse("sha256:" + kHexA); }

  void write_key() const {
    const auto der =
        std::string("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16) + std::string(32, 'k');
    dir.write("id_ed25519", "-----BEGIN PRIVATE KEY-----\n" + registry::base64(der) + "\n-----END PRIVATE KEY-----\n");
    std::filesystem::permissions(dir / "id_ed25519", std::filesystem::perms(0600));
  }
  void write_docker_config(const std::string& for_host) const {
    dir.write("config.json",
              R"({"auths":{")" + for_host + R"(":{"auth":")" + registry::base64("user:hush-password") + R"("}}})");
  }
  static std::string basic() { return "Basic " + registry::base64("user:hush-password"); }

  static std::string manifest_text() {
    return R"({"schemaVersion":2,"layers":[{"mediaType":"x/y","digest":"sha256:)" + kHexA + R"(","size":100}]})";
  }
  FakeReply challenge(const std::string& realm) const {
    return {401,
            {{"WWW-Authenticate", "Bearer realm=\"" + realm + R"(",service="svc",scope="repository:library/m:pull")"}},
            "{}"};
  }
  static FakeReply token(const std::string& value) { return {200, {}, R"({"token":")" + value + "\"}"}; }

  TempDir dir;
  FakeHttp http;
  FakeClock clock;
  registry::Credentials credentials{{dir / "id_ed25519", dir / "config.json", "ollama"}};
  std::string host;
  registry::RegistryOptions options;
  std::vector<registry::RequestTrace> traces;
  std::vector<int> refreshes;
};

}  // namespace pullama::testing
