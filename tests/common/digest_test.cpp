#include "common/digest.h"

#include <doctest/doctest.h>

#include <unordered_set>

using pullama::Digest;
using pullama::ErrorCode;

namespace {
const std::string kHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
}

TEST_CASE("a digest comes back as it was written, in each of its forms") {
  const auto digest = Digest::parse("sha256:" + kHex);
  REQUIRE(digest);
  CHECK(digest->str() == "sha256:" + kHex);
  CHECK(digest->hex() == kHex);
  CHECK(digest->file_name() == "sha256-" + kHex);
  CHECK(digest->short_hex() == "0123456789ab");
  CHECK(digest->bytes()[1] == 0x23);
  CHECK(*Digest::parse_file_name("sha256-" + kHex) == *digest);
  CHECK(Digest::from_bytes(digest->bytes()) == *digest);
  CHECK(std::unordered_set<Digest>{*digest, *digest}.size() == 1);
}

TEST_CASE("whatever is not sha256: and 64 lower-case hex digits is no digest") {
  const std::string nul("sha256:" + kHex.substr(0, 63) + '\0', 71);
  for (const std::string& text : {std::string(), std::string("sha256:"), kHex, "sha256:" + kHex.substr(1),
                                  "sha256:" + kHex + "0", "sha512:" + kHex, "SHA256:" + kHex, "sha256-" + kHex,
                                  "sha256:" + kHex.substr(0, 63) + "A", "sha256:" + kHex.substr(0, 63) + "g",
                                  "sha256:../" + kHex.substr(3), " sha256:" + kHex, "sha256:" + kHex + "\n", nul}) {
    CAPTURE(text);
    const auto digest = Digest::parse(text);
    REQUIRE_FALSE(digest);
    CHECK(digest.error().code == ErrorCode::kInvalidArgument);
    CHECK(digest.error().message.find("64 lower-case hex digits") != std::string::npos);
  }
}

TEST_CASE("a file name is a digest only with the dash") {
  CHECK_FALSE(Digest::parse_file_name("sha256:" + kHex));
  CHECK_FALSE(Digest::parse_file_name("sha256-" + kHex + ".partial"));
  CHECK_FALSE(Digest::parse_file_name("sha256-" + kHex + "-partial"));
}
