#include "daemon/manifest/manifest.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "daemon/io/sha256.h"

using pullama::ErrorCode;
using pullama::manifest::Manifest;

namespace {

const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256:" + std::string(64, 'b');
const std::string kC = "sha256:" + std::string(64, 'c');

std::string layer(const std::string& digest, const std::string& size, const std::string& more = {}) {
  return R"({"mediaType":"application/vnd.ollama.image.model","digest":")" + digest + R"(","size":)" + size + more +
         "}";
}

std::string document(const std::string& config, const std::string& layers, const std::string& more = {}) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":)" + config +
         R"(,"layers":[)" + layers + "]" + more + "}";
}

struct Refusal {
  std::string raw;
  std::string words;
  ErrorCode code = ErrorCode::kCorrupt;
};

}  // namespace

TEST_CASE("a manifest keeps its bytes and says what it holds") {
  const std::string raw = document(layer(kC, "3"), layer(kA, "10", R"(,"from":"library/base","name":"t")") + ", " +
                                                       layer(kB, "0") + "," + layer(kA, "10")) +
                          "\n";
  const auto manifest = Manifest::parse(raw);
  REQUIRE(manifest);
  CHECK(manifest->raw() == raw);
  CHECK(manifest->digest() == pullama::io::sha256(std::as_bytes(std::span(raw))));
  CHECK(manifest->media_type() == pullama::manifest::kMediaType);
  REQUIRE(manifest->layers().size() == 3);
  CHECK(manifest->layers()[0].from == "library/base");
  CHECK(manifest->layers()[0].media_type == "application/vnd.ollama.image.model");
  REQUIRE(manifest->config());
  CHECK(manifest->config()->digest.str() == kC);
  REQUIRE(manifest->blobs().size() == 3);
  CHECK(manifest->blobs()[0].digest.str() == kA);
  CHECK(manifest->blobs()[1].digest.str() == kB);
  CHECK(manifest->blobs()[2].digest.str() == kC);
  CHECK(manifest->total_bytes() == 13);
  CHECK(manifest->stated_bytes() == 23);
}

TEST_CASE("sloppy but harmless manifests are accepted") {
  const std::vector<std::string> accepted{
      document("null", layer(kA, "1")),
      document("{}", layer(kA, "1")),
      document(R"({"digest":"","size":0,"mediaType":""})", layer(kA, "1")),
      document(layer(kA, "1"), ""),
      document(layer(kA, "1"), layer(kA, "1")),
      R"({"config":)" + layer(kA, "1") + R"(,"layers":null})",
      R"({"layers":[)" + layer(kA, "9007199254740992") + "]}",
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[)" + layer(kA, "1") +
          "]}",
      document(layer(kC, "1"), layer(kA, "1", R"(,"urls":["http://elsewhere.example/x"],"annotations":{"size":"x"})"),
               R"(,"annotations":{"digest":"x","a":[{"layers":1}]},"subject":null)"),
  };
  for (const auto& raw : accepted) {
    CAPTURE(raw);
    const auto manifest = Manifest::parse(raw);
    if (!manifest) FAIL_CHECK(manifest.error().message);
  }
}

TEST_CASE("an empty config digest leaves the config out") {
  const auto manifest = Manifest::parse(document(R"({"digest":"","size":7})", layer(kA, "1")));
  REQUIRE(manifest);
  CHECK_FALSE(manifest->config());
  CHECK(manifest->blobs().size() == 1);
  CHECK(manifest->stated_bytes() == 1);
}

TEST_CASE("hostile and wrong manifests are refused by name") {
  const std::string ok = layer(kA, "1");
  std::string many = ok;
  for (int i = 0; i < 8192; ++i) many += "," + ok;
  const std::string deep = std::string(100'000, '[') + "1";
  const std::vector<Refusal> refusals{
      {"", "is empty"},
      {" \r\n", "is empty"},
      {"\xEF\xBB\xBF" + document("null", ok), "byte order mark"},
      {document("null", ok) + "x", "not valid JSON"},
      {document("null", ok) + document("null", ok), "not valid JSON"},
      {document("null", ok) + std::string(1, '\0') + "garbage", "NUL"},
      {document("null", ok).substr(0, 80), "not valid JSON"},
      {"<!DOCTYPE html><html>", "web page"},
      {"\n <html>", "web page"},
      {"[]", "array"},
      {"\"text\"", "not a JSON object"},
      {"17", "not a JSON object"},
      {document("null", "\"\xC3\x28\""), "not valid JSON"},
      {document("null", ok, ",\"x\":" + deep), "nested"},
      {document("null", many), "8192"},
      {document("null", ""), "no layers and no config"},
      {"{}", "no layers and no config"},
      {document(R"({"digest":""})", ""), "no layers and no config"},
      {document(layer(kA, "1"), layer(kA, "2")), "two sizes"},
      {document("null", layer(kA, "1") + "," + layer(kA, "2")), "two sizes"},
      {document("null", layer(kA, "-1")), "size of layer 1"},
      {document("null", layer(kA, "-0")), "size of layer 1"},
      {document("null", layer(kA, "1.0")), "size of layer 1"},
      {document("null", layer(kA, "1e3")), "size of layer 1"},
      {document("null", layer(kA, "\"1\"")), "size of layer 1"},
      {document("null", layer(kA, "null")), "size of layer 1"},
      {document("null", layer(kA, "true")), "size of layer 1"},
      {document("null", layer(kA, "[]")), "'size' of layer 1"},
      {document("null", layer(kA, "9007199254740993")), "size of layer 1"},
      {document("null", layer(kA, "9223372036854775808")), "size of layer 1"},
      {document("null", layer(kA, "99999999999999999999999")), "size of layer 1"},
      {document(layer(kC, "-5"), ok), "size of the config"},
      {document("null", R"({"digest":")" + kA + "\"}"), "layer 1 has no size"},
      {document("null", R"({"size":1})"), "digest of layer 1"},
      {document("null", R"({"digest":null,"size":1})"), "'digest' of layer 1"},
      {document("null", R"({"mediaType":1,"digest":")" + kA + R"(","size":1})"), "'mediaType' of layer 1"},
      {document("null", layer(kA, "1", R"(,"from":{})")), "'from' of layer 1"},
      {document("null", layer(kA, "1", R"(,"size":1)")), "'size' twice"},
      {document("null", layer(kA, "1", R"(,"Size":1)")), "misspelt 'size'"},
      {document("null", layer(kA, "1", ",\"\xC5\xBFize\":1")), "misspelt 'size'"},
      {document("null", layer(kA, "1", R"(,"DIGEST":"x")")), "misspelt 'digest'"},
      {document("null", ok, R"(,"layers":[])"), "'layers' twice"},
      {document("null", ok, R"(,"LAYERS":[])"), "misspelt 'layers'"},
      {document("null", ok, R"(,"config":null)"), "'config' twice"},
      {document("null", "1"), "not an object"},
      {document("null", "[]"), "not an object"},
      {document("[]", ok), "'config' of its top level is an array"},
      {document("\"x\"", ok), "'config' is neither"},
      {R"({"layers":{}})", "'layers' of its top level is an object"},
      {R"({"layers":7})", "'layers' is neither"},
      {R"({"errors":[{"code":"DENIED","message":"no"}]})", "'errors' object"},
      {R"({"schemaVersion":"2","layers":[]})", "schemaVersion"},
      {R"({"schemaVersion":1,"fsLayers":[]})", "schema version 1", ErrorCode::kUnsupported},
      {R"({"schemaVersion":3,"layers":[)" + ok + "]}", "schema version 3", ErrorCode::kUnsupported},
      {document("null", ok, R"(,"manifests":[])"), "index", ErrorCode::kUnsupported},
      {R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"})", "index",
       ErrorCode::kUnsupported},
      {R"({"mediaType":"text/evil\u001b[2J","layers":[)" + ok + "]}", "(unprintable)", ErrorCode::kUnsupported},
      {R"({"mediaType":"text/x","layers":[)" + ok + "]}", "'text/x'", ErrorCode::kUnsupported},
  };
  for (const auto& refusal : refusals) {
    CAPTURE(refusal.raw.substr(0, 300));
    const auto manifest = Manifest::parse(refusal.raw);
    REQUIRE_FALSE(manifest);
    CHECK_MESSAGE(manifest.error().message.find(refusal.words) != std::string::npos, manifest.error().message);
    CHECK(manifest.error().code == refusal.code);
  }
}

TEST_CASE("a digest that is not canonical SHA-256 is refused") {
  const std::string hex(64, 'a');
  for (const std::string& digest :
       {std::string(), "sha256-" + hex, "sha256:" + hex.substr(1), "sha256:" + hex + "a", "sha512:" + hex, hex,
        "sha256:" + std::string(64, 'A'), "sha256:../../" + hex.substr(6), "sha256:" + hex.substr(6) + "\\u0000",
        std::string("../../../etc/passwd"), std::string("sha256:")}) {
    CAPTURE(digest);
    CHECK_FALSE(Manifest::parse(document("null", layer(digest, "1"))));
    if (!digest.empty()) CHECK_FALSE(Manifest::parse(document(layer(digest, "1"), layer(kA, "1"))));
  }
}

TEST_CASE("a sum of sizes that overflows is refused") {
  std::string layers;
  for (int i = 0; i < 1025; ++i) layers += (i == 0 ? "" : ",") + layer(kA, "9007199254740992");
  const auto manifest = Manifest::parse(document("null", layers));
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().message.find("overflows") != std::string::npos);
}

TEST_CASE("a manifest cut off at any byte is refused") {
  const std::string raw = document(layer(kC, "3"), layer(kA, "10", R"(,"from":"x")"));
  for (std::size_t length = 0; length < raw.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(Manifest::parse(raw.substr(0, length)));
  }
}

TEST_CASE("a manifest over 16 MiB is refused unread") {
  const auto manifest = Manifest::parse(document("null", layer(kA, "1")) + std::string(16 << 20, ' '));
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().message.find("16 MiB") != std::string::npos);
}
