#pragma once
// SHA-256 whose state can be taken out and put back, so that a resume goes on hashing where it was. OpenSSL's low-level
// functions: EVP has no exportable state in 3.0, libsodium's are five times slower (no SHA-NI). Not thread-safe.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "common/digest.h"

namespace pullama::io {

class Sha256 {
 public:
  // Eight state words after `length_bytes` bytes, a multiple of 64.
  struct Midstate {
    std::array<std::uint32_t, 8> words{};
    std::uint64_t length_bytes = 0;
    bool operator==(const Midstate&) const = default;
  };

  Sha256();
  explicit Sha256(const Midstate& midstate);  // precondition: length_bytes % 64 == 0
  Sha256(const Sha256&);
  Sha256& operator=(const Sha256&);
  ~Sha256();

  void update(std::span<const std::byte> bytes);
  std::uint64_t length_bytes() const;
  // nullopt unless the length so far is a multiple of 64.
  std::optional<Midstate> midstate() const;
  // Of what was hashed so far; the object goes on unchanged.
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(std::span<const std::byte> bytes);

}  // namespace pullama::io
