#include "daemon/io/xxh3.h"

#include <xxhash.h>

#include <new>

namespace pullama::io {
namespace {

// XXH3's state wants an alignment of 64, which its own allocator sees to.
struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

struct Xxh3::State {
  std::unique_ptr<XXH3_state_t, FreeState> hash{XXH3_createState()};
  State() {
    if (!hash) throw std::bad_alloc();
  }
};

std::string Xxh128::hex() const {
  std::string text;
  text.reserve(32);
  for (const std::uint64_t half : {high, low}) {
    for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[half >> shift & 0xF];
  }
  return text;
}

std::optional<Xxh128> Xxh128::from_hex(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  Xxh128 hash;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = hex_digit(text[i]);
    if (!digit) return std::nullopt;
    std::uint64_t& half = i < 16 ? hash.high : hash.low;
    half = half << 4 | *digit;
  }
  return hash;
}

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_128bits_reset(state_->hash.get()); }
Xxh3::Xxh3(const Xxh3& other) : state_(std::make_unique<State>()) {
  XXH3_copyState(state_->hash.get(), other.state_->hash.get());
}
Xxh3& Xxh3::operator=(const Xxh3& other) {
  if (this != &other) XXH3_copyState(state_->hash.get(), other.state_->hash.get());
  return *this;
}
Xxh3::Xxh3(Xxh3&&) noexcept = default;
Xxh3& Xxh3::operator=(Xxh3&&) noexcept = default;
Xxh3::~Xxh3() = default;

void Xxh3::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->hash.get(), bytes.data(), bytes.size());
}

Xxh128 Xxh3::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->hash.get());
  return {hash.high64, hash.low64};
}

Xxh128 xxh3(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

}  // namespace pullama::io
