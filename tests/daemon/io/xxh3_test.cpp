#include "daemon/io/xxh3.h"

#include <doctest/doctest.h>

#include <utility>

namespace pullama::io {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST_CASE("XXH3-128 gives what xxhsum -H2 prints") {
  const struct {
    std::string text, hex;
  } cases[] = {
      {"", "99aa06d3014798d86001c324468d497f"},
      {"abc", "06b05ab6733a618578af5f94892f3950"},
      {std::string(100, 'a'), "7d09cdccbc6bead248fb02115fe96a8a"},
      {std::string(1000, 'a'), "b01da365eddaa29cb3e7af627147db7c"},
      {std::string(100'000, 'a'), "819d5302938c790308f809ef04c54838"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.text.size());
    CHECK(xxh3(bytes_of(c.text)).hex() == c.hex);
    Xxh3 streamed;
    for (const char letter : c.text) streamed.update(bytes_of(std::string(1, letter)));
    CHECK(streamed.digest().hex() == c.hex);
  }
}

TEST_CASE("the hex form comes back, and nothing else is taken for one") {
  const Xxh128 hash{0x0123456789abcdef, 0xfedcba9876543210};
  CHECK(hash.hex() == "0123456789abcdeffedcba9876543210");
  CHECK(Xxh128::from_hex(hash.hex()) == hash);
  for (const std::string bad :
       {"", "0123", "0123456789abcdeffedcba987654321", "0123456789abcdeffedcba98765432100",
        "0123456789ABCDEFfedcba9876543210", "0123456789abcdeffedcba987654321g", " 123456789abcdeffedcba9876543210"}) {
    CAPTURE(bad);
    CHECK_FALSE(Xxh128::from_hex(bad).has_value());
  }
}

TEST_CASE("copies and moves of a running hash go on by themselves") {
  Xxh3 hash;
  hash.update(bytes_of("ab"));
  CHECK(hash.digest() == xxh3(bytes_of("ab")));
  Xxh3 copy = hash;
  hash.update(bytes_of("c"));
  CHECK(copy.digest() == xxh3(bytes_of("ab")));
  copy = hash;
  Xxh3 moved = std::move(hash);
  CHECK(moved.digest() == xxh3(bytes_of("abc")));
  CHECK(copy.digest() == moved.digest());
  copy = std::move(moved);
  CHECK(copy.digest() == xxh3(bytes_of("abc")));
}

}  // namespace
}  // namespace pullama::io
