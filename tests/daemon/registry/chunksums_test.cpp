#include "daemon/registry/chunksums.h"

#include <doctest/doctest.h>

#include <vector>

using namespace pullama::registry;

namespace {
const std::string kA = "sha256:" + std::string(64, 'a');
const std::string kB = "sha256-" + std::string(64, 'b');
}  // namespace

TEST_CASE("chunksums that cover the blob are taken") {
  for (const std::string& body : {kA + " 0-99\n" + kB + " 100-149\n", kA + "\t0-99 " + kB + "\r\n100-149",
                                  "\n" + kA + "\n0-99\n\n" + kB + " 100-149  "}) {
    CAPTURE(body);
    const auto chunks = parse_chunksums(body, 150);
    REQUIRE(chunks);
    REQUIRE(chunks->size() == 2);
    CHECK((*chunks)[0].digest.hex() == std::string(64, 'a'));
    CHECK((*chunks)[0].range.last == 99);
    CHECK((*chunks)[1].digest.hex() == std::string(64, 'b'));
    CHECK((*chunks)[1].range.first == 100);
  }
}

TEST_CASE("chunksums that do not are ignored") {
  for (const std::string& body : std::vector<std::string>{
           "",
           " \n",
           kA,
           kA + " 0-98",
           kA + " 0-150",
           kA + " 1-149",
           kA + " 0-",
           kA + " -149",
           kA + " 0-149 extra",
           kA + " 0-149 " + kA,
           kA + " 0-99 " + kB + " 101-149",
           kA + " 0-99 " + kB + " 99-149",
           kB + " 100-149 " + kA + " 0-99",
           kA + " 0-99 " + kA + " 0-149",
           kA + " 10-5 ",
           kA + " 0-18446744073709551615",
           kA + " 0-18446744073709551616",
           "sha256:xyz 0-149",
           "md5:" + std::string(32, 'a') + " 0-149",
           std::string(64, 'a') + " 0-149",
           R"({"chunks":[]})",
           "<html>",
           std::string(1000, '\0'),
       }) {
    CAPTURE(body);
    CHECK_FALSE(parse_chunksums(body, 150));
  }
}

TEST_CASE("chunksums cut off at any byte are ignored") {
  const std::string body = kA + " 0-99\n" + kB + " 100-149";
  for (std::size_t length = 0; length < body.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(parse_chunksums(body.substr(0, length), 150));
  }
}

TEST_CASE("more chunks than anybody needs are ignored") {
  std::string body;
  const std::size_t count = kMaxChunks + 1;
  for (std::size_t i = 0; i < count; ++i) body += kA + " " + std::to_string(i) + "-" + std::to_string(i) + "\n";
  CHECK_FALSE(parse_chunksums(body, count));
}
