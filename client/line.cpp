#include "client/line.h"

#include <fmt/format.h>

#include <array>

#include "client/cells.h"
#include "common/utf8.h"

namespace pullama::client {
namespace {

struct Rgb {
  int red, green, blue;
};

Rgb colour_of(Tone tone) {
  switch (tone) {
    case Tone::kBrand:
      return {139, 92, 246};
    case Tone::kAlt:
      return {192, 132, 252};
    case Tone::kSuccess:
      return {34, 197, 94};
    case Tone::kWarn:
      return {234, 179, 8};
    case Tone::kError:
      return {239, 68, 68};
    case Tone::kInfo:
      return {56, 189, 248};
    case Tone::kMuted:
      return {148, 163, 184};
    case Tone::kDigest:
      return {251, 191, 36};
    case Tone::kBytes:
      return {167, 243, 208};
    case Tone::kEta:
      return {196, 181, 253};
    case Tone::kTrack:
      return {51, 65, 85};
    case Tone::kText:
      break;
  }
  return {226, 232, 240};
}

struct Substitute {
  std::string_view sign, ascii;
};

constexpr std::array kSubstitutes{
    Substitute{"·", "."},  Substitute{"›", ">"},  Substitute{"▸", ">"},   Substitute{"✓", "+"}, Substitute{"✗", "x"},
    Substitute{"—", "-"},  Substitute{"◆", "*"},  Substitute{"↻", "~"},   Substitute{"⚠", "!"}, Substitute{"–", "-"},
    Substitute{"→", ">"},  Substitute{"█", "#"},  Substitute{"░", "."},   Substitute{"‘", "'"}, Substitute{"’", "'"},
    Substitute{"“", "\""}, Substitute{"”", "\""}, Substitute{"…", "..."}, Substitute{"×", "x"}, Substitute{"≥", ">="}};

}  // namespace

std::size_t width_of(const Line& line) {
  std::size_t width = 0;
  for (const Span& span : line) width += cell_width(span.text);
  return width;
}

Line fit(const Line& line, std::size_t cells) {
  if (width_of(line) <= cells) return line;
  Line out;
  if (cells == 0) return out;
  std::size_t left = cells - 1;
  Tone tone = Tone::kText;
  for (const Span& span : line) {
    const std::string_view part = cut_cells(span.text, left);
    tone = span.tone;
    if (!part.empty()) out.push_back({std::string(part), span.tone});
    left -= cell_width(part);
    if (part.size() < span.text.size()) break;
  }
  out.push_back({"…", tone});
  return out;
}

Line fill(const Line& line, std::size_t cells) {
  Line out = fit(line, cells);
  const std::size_t width = width_of(out);
  if (width < cells) out.push_back({std::string(cells - width, ' '), Tone::kText});
  return out;
}

std::string text_of(const Line& line) {
  std::string out;
  for (const Span& span : line) out += span.text;
  return out;
}

std::string paint(const Line& line) {
  std::string out;
  for (const Span& span : line) {
    if (span.tone == Tone::kText || span.text.find_first_not_of(' ') == std::string::npos) {
      out += span.text;
      continue;
    }
    const Rgb rgb = colour_of(span.tone);
    out += fmt::format("\x1b[38;2;{};{};{}m{}\x1b[0m", rgb.red, rgb.green, rgb.blue, span.text);
  }
  return out;
}

std::string to_ascii(std::string_view text) {
  if (plain_ascii_length(text) == text.size()) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      out += text[at++];
      continue;
    }
    const std::size_t bytes = cell_at(text, at).bytes;
    const std::string_view sign = text.substr(at, bytes);
    std::string_view ascii = "?";
    for (const Substitute& substitute : kSubstitutes) {
      if (substitute.sign == sign) ascii = substitute.ascii;
    }
    out += ascii;
    at += bytes;
  }
  return out;
}

}  // namespace pullama::client
