#define OPENSSL_SUPPRESS_DEPRECATED  // the low-level functions, for their exportable state
#include "daemon/io/sha256.h"

#include <openssl/sha.h>

#include <algorithm>

namespace pullama::io {

struct Sha256::State {
  SHA256_CTX context{};
};

Sha256::Sha256() : state_(std::make_unique<State>()) { SHA256_Init(&state_->context); }

Sha256::Sha256(const Midstate& midstate) : Sha256() {
  std::copy(midstate.words.begin(), midstate.words.end(), state_->context.h);
  const std::uint64_t bits = midstate.length_bytes * 8;
  state_->context.Nl = static_cast<SHA_LONG>(bits);
  state_->context.Nh = static_cast<SHA_LONG>(bits >> 32);
}

Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>(*other.state_)) {}

Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) *state_ = *other.state_;
  return *this;
}

Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) { SHA256_Update(&state_->context, bytes.data(), bytes.size()); }

std::uint64_t Sha256::length_bytes() const {
  return (std::uint64_t{state_->context.Nh} << 32 | state_->context.Nl) / 8;
}

std::optional<Sha256::Midstate> Sha256::midstate() const {
  if (state_->context.num != 0) return std::nullopt;
  Midstate midstate;
  std::copy_n(state_->context.h, midstate.words.size(), midstate.words.begin());
  midstate.length_bytes = length_bytes();
  return midstate;
}

Digest Sha256::digest() const {
  State last = *state_;
  Digest::Bytes bytes{};
  SHA256_Final(bytes.data(), &last.context);
  return Digest::from_bytes(bytes);
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.digest();
}

}  // namespace pullama::io
