#pragma once
// UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pullama {

struct Utf8Char {
  std::uint32_t code_point = 0;
  std::size_t bytes = 0;  // 0: the first byte of the text begins no valid character
};

// The character at the front of `text`; `bytes` is 0 where there is none.
Utf8Char decode_utf8(std::string_view text);

bool is_utf8(std::string_view text);

// The text with U+FFFD for each byte that begins no valid character, as JSON encoders have it.
std::string with_valid_utf8(std::string_view text);

// How many characters at the front of `text` are ASCII without control characters (0x20 to 0x7E): nearly all of what
// passes through here, and nothing that needs a closer look.
std::size_t plain_ascii_length(std::string_view text);

}  // namespace pullama
