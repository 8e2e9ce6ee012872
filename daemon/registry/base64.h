#pragma once
// Standard base64 (RFC 4648 section 4) and its URL form without padding (section 5). Pure.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pullama::registry {

std::string base64(std::span<const unsigned char> bytes);
std::string base64(std::string_view text);
std::string base64_url(std::span<const unsigned char> bytes);
// Standard alphabet, padding needed; anything else, line breaks too, is nullopt.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace pullama::registry
