#pragma once
// The user's Ed25519 key as OpenSSH or PKCS#8 writes it, unencrypted (registry-protocol.md section 4.5), signing with
// it, and making one. The seed is wiped when the key is destroyed. Immutable, so any thread may sign.

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::registry {

inline constexpr std::uint64_t kMaxKeyFileBytes = 64ULL * 1024;

class SshKey {
 public:
  // `path` is for messages only. kAuthFailed with a sentence of its own for each: no key at all, encrypted, another
  // type, several keys, cut off, damaged, a public half that does not belong to the private one.
  static Result<std::unique_ptr<SshKey>> parse(std::string_view pem, const std::string& path);
  // kNotFound where there is no file, else as parse(); a file that all users may read is kAuthFailed too.
  static Result<std::unique_ptr<SshKey>> load(const std::string& path);
  // A new one; kInternal where the system has no randomness to give.
  static Result<std::unique_ptr<SshKey>> generate();

  ~SshKey();
  SshKey(const SshKey&) = delete;
  SshKey& operator=(const SshKey&) = delete;

  const std::string& public_text() const { return public_text_; }  // second field of the .pub file
  std::string public_line() const;                                 // that file, without a comment and the line's end
  // The private half as OpenSSH and Ollama write it, unencrypted, without a comment. To be wiped (secret_file.h).
  std::string openssh_text() const;
  std::string sign(std::string_view message) const;  // base64 of the 64 bytes

 private:
  SshKey() = default;
  std::array<unsigned char, 64> secret_{};  // seed and public key, as libsodium wants it
  std::string public_text_;
};

// 16 random bytes, base64url without padding.
std::string random_nonce();

}  // namespace pullama::registry
