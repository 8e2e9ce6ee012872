#pragma once
// A SHA-256 digest as registries write it. Made only by parsing "sha256:" + 64 lower-case hex digits or from 32 raw
// bytes, so every path and URL that is built from one is harmless (CVE-2024-37032 and its family).

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama {

class Digest {
 public:
  using Bytes = std::array<std::uint8_t, 32>;

  // Anything but "sha256:" + 64 lower-case hex digits is kInvalidArgument.
  static Result<Digest> parse(std::string_view text);
  // "sha256-<hex>", the name of a blob's file.
  static Result<Digest> parse_file_name(std::string_view name);
  static Digest from_bytes(const Bytes& bytes) { return Digest(bytes); }

  std::string str() const;        // sha256:<hex>
  std::string hex() const;        // 64 digits
  std::string file_name() const;  // sha256-<hex>
  std::string short_hex() const;  // first 12 digits, as people see it
  const Bytes& bytes() const { return bytes_; }

  auto operator<=>(const Digest&) const = default;

 private:
  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}
  Bytes bytes_;
};

}  // namespace pullama

template <>
struct std::hash<pullama::Digest> {
  std::size_t operator()(const pullama::Digest& digest) const noexcept;
};
