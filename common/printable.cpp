#include "common/printable.h"

#include <fmt/format.h>

#include <limits>

#include "common/utf8.h"

namespace pullama {
namespace {

bool is_harmless(std::uint32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) return false;       // C0, DEL, C1
  if (c == 0x061C || c == 0x200E || c == 0x200F) return false;  // direction marks
  if (c >= 0x2028 && c <= 0x202E) return false;                 // separators, embeddings, overrides
  if (c >= 0x2066 && c <= 0x2069) return false;                 // isolates
  return !(c >= 0xFFF9 && c <= 0xFFFB) && !(c >= 0xE0000 && c <= 0xE007F) && c != 0xFEFF;  // invisible
}

}  // namespace

std::string printable(std::string_view text) { return printable(text, std::numeric_limits<std::size_t>::max()); }

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  if (text.size() <= max_bytes && plain_ascii_length(text) == text.size()) return std::string(text);
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const std::size_t length = c.bytes == 0 ? 1 : c.bytes;
    if (c.bytes != 0 && is_harmless(c.code_point)) {
      if (max_bytes - out.size() < length) break;
      out.append(text.substr(0, length));
    } else {
      if (max_bytes - out.size() < 4 * length) break;
      for (const char byte : text.substr(0, length)) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
      }
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace pullama
