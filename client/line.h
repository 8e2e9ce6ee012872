#pragma once
// A line of the screen before it is painted: pieces of text, each with a tone. Widths are counted here, in cells, and
// colours come last, so no escape sequence is ever counted or cut.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pullama::client {

enum class Tone { kText, kBrand, kAlt, kSuccess, kWarn, kError, kInfo, kMuted, kDigest, kBytes, kEta, kTrack };

struct Span {
  std::string text;
  Tone tone = Tone::kText;
};

using Line = std::vector<Span>;

std::size_t width_of(const Line& line);

// Cut to `cells`, the last one an ellipsis where something was lost.
Line fit(const Line& line, std::size_t cells);

// Cut or filled with blanks: exactly `cells` wide.
Line fill(const Line& line, std::size_t cells);

std::string text_of(const Line& line);

// 24-bit colours, one reset a coloured span.
std::string paint(const Line& line);

// The same text in ASCII: the signs of this program by their substitutes (cli.md "Output"), other characters as '?'.
std::string to_ascii(std::string_view text);

}  // namespace pullama::client
