#pragma once
// What is asked of JSON text before a parser sees it, by everybody who reads some from outside.

#include <string_view>

namespace pullama {

// No JSON text holds a NUL byte, and the parser in use takes one for the end: what follows it would never be looked at.
inline bool holds_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace pullama
