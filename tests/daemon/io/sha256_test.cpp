#include "daemon/io/sha256.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace pullama::io {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_CASE("SHA-256 gives the digests of FIPS 180-4's examples") {
  const struct {
    std::string text, hex;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text.size());
    CHECK(sha256(bytes_of(c.text)).hex() == c.hex);
  }
}

TEST_CASE("a midstate is to be had at multiples of 64 only") {
  Sha256 hash;
  const std::string one = "x";
  for (std::uint64_t length = 0; length <= 256; ++length) {
    CAPTURE(length);
    CHECK(hash.midstate().has_value() == (length % 64 == 0));
    CHECK(hash.length_bytes() == length);
    hash.update(bytes_of(one));
  }
}

TEST_CASE("hashing goes on from a midstate as if it had never stopped, at every multiple") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7);
  const Digest whole = sha256(bytes_of(text));
  for (std::size_t cut = 0; cut <= text.size(); cut += 64) {
    CAPTURE(cut);
    Sha256 before;
    before.update(bytes_of(text).first(cut));
    const auto midstate = before.midstate();
    REQUIRE(midstate);
    CHECK(midstate->length_bytes == cut);
    Sha256 after(*midstate);
    CHECK(after.midstate() == midstate);
    after.update(bytes_of(text).subspan(cut));
    CHECK(after.digest() == whole);
    CHECK(after.length_bytes() == text.size());
  }
}

TEST_CASE("a midstate past 4 GiB keeps its length") {
  Sha256::Midstate midstate;
  midstate.words = {1, 2, 3, 4, 5, 6, 7, 8};
  midstate.length_bytes = (std::uint64_t{1} << 40) + 64;
  const Sha256 hash(midstate);
  CHECK(hash.length_bytes() == midstate.length_bytes);
  CHECK(hash.midstate() == midstate);
}

TEST_CASE("asking for the digest and copying leave the hash as it was") {
  Sha256 hash;
  hash.update(bytes_of("ab"));
  CHECK(hash.digest() == sha256(bytes_of("ab")));
  Sha256 copy = hash;
  copy.update(bytes_of("X"));
  hash.update(bytes_of("c"));
  CHECK(hash.digest() == sha256(bytes_of("abc")));
  copy = hash;
  CHECK(copy.digest() == hash.digest());
}

}  // namespace
}  // namespace pullama::io
