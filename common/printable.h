#pragma once
// Text from outside, made safe to show on a terminal or in a log: control characters (C0, DEL, C1 also as UTF-8), line
// separators, bidirectional overrides and marks, and bytes that are not UTF-8 become \xNN, a byte each. The rest stays
// as it is, and printable text comes back unchanged; so do our own escapes.

#include <cstddef>
#include <string>
#include <string_view>

namespace pullama {

std::string printable(std::string_view text);
// At most `max_bytes` of result, cut between characters; an escape is never cut in two.
std::string printable(std::string_view text, std::size_t max_bytes);

}  // namespace pullama
