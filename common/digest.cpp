#include "common/digest.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "common/printable.h"

namespace pullama {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::string_view kFilePrefix = "sha256-";
constexpr std::size_t kHexDigits = 64;
constexpr std::size_t kShownBytes = 100;

std::optional<std::uint8_t> hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

std::optional<Digest::Bytes> parse_prefixed(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + kHexDigits || !text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  Digest::Bytes bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*high << 4U | *low);
  }
  return bytes;
}

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  const auto bytes = parse_prefixed(text, kPrefix);
  if (!bytes) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no digest: it must be 'sha256:' and 64 lower-case hex digits",
                            printable(text, kShownBytes)));
  }
  return Digest(*bytes);
}

Result<Digest> Digest::parse_file_name(std::string_view name) {
  const auto bytes = parse_prefixed(name, kFilePrefix);
  if (!bytes) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is no blob's name: it must be 'sha256-' and 64 lower-case hex digits",
                            printable(name, kShownBytes)));
  }
  return Digest(*bytes);
}

std::string Digest::hex() const {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(kHexDigits);
  for (const std::uint8_t byte : bytes_) {
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 0xFU];
  }
  return out;
}

std::string Digest::str() const { return std::string(kPrefix) + hex(); }
std::string Digest::file_name() const { return std::string(kFilePrefix) + hex(); }
std::string Digest::short_hex() const { return hex().substr(0, 12); }

}  // namespace pullama

// The bytes are already as good as random.
std::size_t std::hash<pullama::Digest>::operator()(const pullama::Digest& digest) const noexcept {
  std::size_t value = 0;
  std::memcpy(&value, digest.bytes().data(), sizeof value);
  return value;
}
