#pragma once
// MD5, for the etags of multipart uploads to S3 and its kind. Proves nothing against an attacker; SHA-256 does that.
// Not thread-safe.

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pullama::io {

struct Md5Digest {
  std::array<std::byte, 16> bytes{};
  std::string hex() const;
  static std::optional<Md5Digest> from_hex(std::string_view text);  // 32 lower-case digits
  bool operator==(const Md5Digest&) const = default;
};

class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;

  void update(std::span<const std::byte> bytes);
  Md5Digest digest();  // once; starts over

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pullama::io
