#pragma once
// XXH3-128, streaming: the cheap checksum of what has been received of a chunk. Finds rot, not attackers. Not
// thread-safe.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pullama::io {

struct Xxh128 {
  std::uint64_t high = 0, low = 0;
  std::string hex() const;  // 32 lower-case digits, canonical (big endian) order
  static std::optional<Xxh128> from_hex(std::string_view text);
  auto operator<=>(const Xxh128&) const = default;
};

class Xxh3 {
 public:
  Xxh3();
  Xxh3(const Xxh3&);
  Xxh3& operator=(const Xxh3&);
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;
  ~Xxh3();
  void update(std::span<const std::byte> bytes);
  // Of what was hashed so far; the object goes on unchanged.
  Xxh128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Xxh128 xxh3(std::span<const std::byte> bytes);

}  // namespace pullama::io
