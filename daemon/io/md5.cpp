#include "daemon/io/md5.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace pullama::io {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

}  // namespace

struct Md5::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
  // Fails only without memory, or where a policy of the machine forbids MD5: then no etag can be made at all.
  void begin() {
    if (context == nullptr || EVP_DigestInit_ex(context, EVP_md5(), nullptr) != 1) std::abort();
  }
};

Md5::Md5() : state_(std::make_unique<State>()) { state_->begin(); }
Md5::~Md5() = default;

void Md5::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1) std::abort();
}

Md5Digest Md5::digest() {
  Md5Digest result;
  unsigned length = 0;
  if (EVP_DigestFinal_ex(state_->context, reinterpret_cast<unsigned char*>(result.bytes.data()), &length) != 1 ||
      length != result.bytes.size()) {
    std::abort();
  }
  state_->begin();
  return result;
}

std::string Md5Digest::hex() const {
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<std::size_t>(byte) >> 4];
    text += kDigits[static_cast<std::size_t>(byte) & 15];
  }
  return text;
}

std::optional<Md5Digest> Md5Digest::from_hex(std::string_view text) {
  Md5Digest result;
  if (text.size() != 2 * result.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = kDigits.find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    auto& byte = result.bytes[i / 2];
    byte = static_cast<std::byte>(static_cast<unsigned>(byte) << 4 | static_cast<unsigned>(digit));
  }
  return result;
}

}  // namespace pullama::io
