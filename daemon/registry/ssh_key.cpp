#include "daemon/registry/ssh_key.h"

#include <sodium.h>

#include <cstdint>
#include <optional>
#include <span>

#include "daemon/registry/base64.h"
#include "daemon/registry/secret_file.h"

namespace pullama::registry {
namespace {

using Seed = std::array<unsigned char, crypto_sign_SEEDBYTES>;

constexpr std::string_view kMagic("openssh-key-v1\0", 15);
constexpr std::string_view kType = "ssh-ed25519";
// RFC 8410: version 0, Ed25519, an octet string in an octet string.
constexpr std::string_view kPkcs8Prefix("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16);

bool sodium_ready() {
  static const bool ready = sodium_init() >= 0;
  return ready;
}

// Wipes what it holds at the end of its scope.
struct Secret {
  std::string text;
  ~Secret() { wipe(text); }
};

// Reads OpenSSH's format: every length is held against what is left.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::optional<std::string_view> raw(std::size_t length) {
    if (length > rest_.size()) return std::nullopt;
    const auto bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return bytes;
  }
  std::optional<std::uint32_t> number() {
    const auto bytes = raw(4);
    if (!bytes) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : *bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::optional<std::string_view> string() {
    const auto length = number();
    return length ? raw(*length) : std::nullopt;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// What is wrong, for "the key <path> …"; empty where the seed was found.
struct Finding {
  std::string problem;
  std::string remedy;
};

Finding cut_off() { return {"is cut off or damaged", "restore it from a backup or make a new one"}; }

Finding wrong_type() {
  return {"is not an Ed25519 key", "make one with 'ssh-keygen -t ed25519' and register its .pub file"};
}

Finding encrypted(const std::string& path) {
  return {"is encrypted with a passphrase, which cannot be asked for here",
          "take the passphrase off with 'ssh-keygen -p -N \"\" -f " + path + "'"};
}

Finding read_openssh(std::string_view der, const std::string& path, Seed& seed, std::string& public_half) {
  Reader outer(der);
  if (outer.raw(kMagic.size()) != kMagic) return cut_off();
  const auto cipher = outer.string();
  const auto kdf = outer.string();
  const auto kdf_options = outer.string();
  const auto count = outer.number();
  if (!cipher || !kdf || !kdf_options || !count) return cut_off();
  if (*cipher != "none" || *kdf != "none") return encrypted(path);
  if (*count != 1) return {"holds " + std::to_string(*count) + " keys", "keep one key in it"};
  const auto public_blob = outer.string();
  const auto private_part = outer.string();
  if (!public_blob || !private_part) return cut_off();
  Reader blob(*public_blob);
  const auto blob_type = blob.string();
  if (!blob_type) return cut_off();
  if (*blob_type != kType) return wrong_type();
  const auto blob_key = blob.string();
  if (!blob_key || blob_key->size() != crypto_sign_PUBLICKEYBYTES || !blob.rest().empty()) return cut_off();

  Reader inner(*private_part);
  const auto check_a = inner.number();
  const auto check_b = inner.number();
  const auto type = inner.string();
  if (!check_a || !check_b || !type || *check_a != *check_b) return cut_off();
  if (*type != kType) return wrong_type();
  const auto key = inner.string();
  const auto secret = inner.string();
  const auto comment = inner.string();
  if (!key || !secret || !comment || secret->size() != crypto_sign_SECRETKEYBYTES) return cut_off();
  const auto padding = inner.rest();
  if (padding.size() > 255) return cut_off();
  for (std::size_t i = 0; i < padding.size(); ++i) {
    if (static_cast<unsigned char>(padding[i]) != i + 1) return cut_off();
  }
  if (*key != *blob_key || secret->substr(crypto_sign_SEEDBYTES) != *blob_key) {
    return {"holds two public keys that differ", "restore it from a backup or make a new one"};
  }
  std::copy_n(secret->begin(), seed.size(), seed.begin());
  public_half = *blob_key;
  return {};
}

Finding read_pkcs8(std::string_view der, Seed& seed) {
  if (der.size() < kPkcs8Prefix.size()) return cut_off();
  if (der.substr(0, kPkcs8Prefix.size()) != kPkcs8Prefix) {
    const bool ed25519 = der.find(kPkcs8Prefix.substr(5, 7)) != std::string_view::npos;
    return ed25519 ? cut_off() : wrong_type();
  }
  if (der.size() != kPkcs8Prefix.size() + seed.size()) return cut_off();
  std::copy_n(der.begin() + static_cast<std::ptrdiff_t>(kPkcs8Prefix.size()), seed.size(), seed.begin());
  return {};
}

Finding read_pem(std::string_view pem, const std::string& path, Seed& seed, std::string& public_half) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kDashes = "-----";
  const auto begin = pem.find(kBegin);
  if (begin == std::string_view::npos) {
    const bool is_public = pem.starts_with("ssh-") || pem.starts_with("ecdsa-");
    if (is_public) return {"is a public key", "name the private one, the file without .pub"};
    return {"is not a private key file", "restore it from a backup or make a new one"};
  }
  const auto label_end = pem.find(kDashes, begin + kBegin.size());
  if (label_end == std::string_view::npos) return cut_off();
  const auto label = pem.substr(begin + kBegin.size(), label_end - begin - kBegin.size());
  if (label == "ENCRYPTED PRIVATE KEY") return encrypted(path);
  if (label != "OPENSSH PRIVATE KEY" && label != "PRIVATE KEY") return wrong_type();
  const auto body_begin = label_end + kDashes.size();
  const auto body_end = pem.find("-----END " + std::string(label) + "-----", body_begin);
  if (body_end == std::string_view::npos) return cut_off();
  Secret body;
  for (const char c : pem.substr(body_begin, body_end - body_begin)) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') body.text += c;
  }
  auto decoded = from_base64(body.text);
  if (!decoded) return cut_off();
  const Secret der{std::move(*decoded)};
  return label == "PRIVATE KEY" ? read_pkcs8(der.text, seed) : read_openssh(der.text, path, seed, public_half);
}

void append_number(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

void append_field(std::string& out, std::string_view bytes) {
  append_number(out, static_cast<std::uint32_t>(bytes.size()));
  out += bytes;
}

std::string_view text_of(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string public_blob(std::string_view key) {
  std::string blob;
  append_field(blob, kType);
  append_field(blob, key);
  return blob;
}

tl::unexpected<Error> unusable(const std::string& path, const Finding& finding) {
  return fail(ErrorCode::kAuthFailed, "the key " + path + " " + finding.problem + ": " + finding.remedy,
              "check " + path);
}

}  // namespace

Result<std::unique_ptr<SshKey>> SshKey::parse(std::string_view pem, const std::string& path) {
  if (!sodium_ready()) return fail(ErrorCode::kInternal, "libsodium cannot be initialised");
  Seed seed{};
  std::string public_half;
  auto finding = read_pem(pem, path, seed, public_half);
  std::unique_ptr<SshKey> key(new SshKey);
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> derived{};
  if (finding.problem.empty()) {
    crypto_sign_seed_keypair(derived.data(), key->secret_.data(), seed.data());
    if (!public_half.empty() && public_half != std::string(derived.begin(), derived.end())) {
      finding = {"has a public half that does not belong to the private one",
                 "restore it from a backup or make a new one"};
    }
  }
  sodium_memzero(seed.data(), seed.size());
  if (!finding.problem.empty()) return unusable(path, finding);
  key->public_text_ = base64(public_blob(text_of(derived)));
  return key;
}

Result<std::unique_ptr<SshKey>> SshKey::generate() {
  if (!sodium_ready()) return fail(ErrorCode::kInternal, "libsodium cannot be initialised");
  std::unique_ptr<SshKey> key(new SshKey);
  std::array<unsigned char, crypto_sign_PUBLICKEYBYTES> derived{};
  if (crypto_sign_keypair(derived.data(), key->secret_.data()) != 0) {
    return fail(ErrorCode::kInternal, "no key can be made: libsodium refuses");
  }
  key->public_text_ = base64(public_blob(text_of(derived)));
  return key;
}

Result<std::unique_ptr<SshKey>> SshKey::load(const std::string& path) {
  auto file = read_secret_file(path, kMaxKeyFileBytes);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return fail(file.error());
    return fail(ErrorCode::kAuthFailed, "the key cannot be used: " + file.error().message, "check " + path);
  }
  const Secret content{std::move(file->content)};
  if (file->readable_by_all) {
    return unusable(path, {"may be read by every user of this machine", "run 'chmod 600 " + path + "'"});
  }
  return parse(content.text, path);
}

std::string SshKey::public_line() const { return std::string(kType) + " " + public_text_; }

std::string SshKey::openssh_text() const {
  // Room for all of it: what grows leaves copies behind.
  constexpr std::size_t kRoom = 1024;
  constexpr std::size_t kLine = 70;
  const auto pair = text_of(secret_);
  const auto public_half = pair.substr(crypto_sign_SEEDBYTES);
  Secret inner, outer;
  inner.text.reserve(kRoom);
  outer.text.reserve(kRoom);
  const std::uint32_t check = randombytes_random();
  append_number(inner.text, check);
  append_number(inner.text, check);
  append_field(inner.text, kType);
  append_field(inner.text, public_half);
  append_field(inner.text, pair);
  append_field(inner.text, "");
  for (char padding = 1; inner.text.size() % 8 != 0; ++padding) inner.text += padding;
  outer.text += kMagic;
  append_field(outer.text, "none");
  append_field(outer.text, "none");
  append_field(outer.text, "");
  append_number(outer.text, 1);
  append_field(outer.text, public_blob(public_half));
  append_field(outer.text, inner.text);
  const Secret body{base64(outer.text)};
  std::string text;
  text.reserve(kRoom);
  text += "-----BEGIN OPENSSH PRIVATE KEY-----\n";
  for (std::size_t at = 0; at < body.text.size(); at += kLine) {
    text.append(body.text, at, kLine);
    text += '\n';
  }
  text += "-----END OPENSSH PRIVATE KEY-----\n";
  return text;
}

SshKey::~SshKey() { sodium_memzero(secret_.data(), secret_.size()); }

std::string SshKey::sign(std::string_view message) const {
  std::array<unsigned char, crypto_sign_BYTES> signature{};
  crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()),
                       message.size(), secret_.data());
  return base64(signature);
}

std::string random_nonce() {
  std::array<unsigned char, 16> bytes{};
  if (!sodium_ready()) return {};
  randombytes_buf(bytes.data(), bytes.size());
  return base64_url(bytes);
}

}  // namespace pullama::registry
