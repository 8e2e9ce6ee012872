#include "common/size_text.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "common/printable.h"

namespace pullama {
namespace {

constexpr std::uint64_t kMax = (1ULL << 53U) - 1;
constexpr std::size_t kMaxFractionDigits = 6;  // with the largest unit, 2^40, a product stays within 64 bits

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Of "", "B", "k", "kB", "KiB", … in any case.
std::optional<std::uint64_t> unit_bytes(std::string_view suffix) {
  constexpr std::string_view kLetters = "kmgt";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (suffix.empty() || (suffix.size() == 1 && lower(suffix[0]) == 'b')) return 1;
  const std::size_t power = kLetters.find(lower(suffix[0]));
  if (power == std::string_view::npos) return std::nullopt;
  const std::string_view rest = suffix.substr(1);
  const bool binary = rest.size() == 2 && lower(rest[0]) == 'i' && lower(rest[1]) == 'b';
  const bool decimal = rest.empty() || (rest.size() == 1 && lower(rest[0]) == 'b');
  if (!binary && !decimal) return std::nullopt;
  std::uint64_t bytes = 1;
  for (std::size_t i = 0; i <= power; ++i) bytes *= binary ? 1024 : 1000;
  return bytes;
}

enum class Wrong { kForm, kZero, kTooLarge };

tl::expected<std::uint64_t, Wrong> parse_amount(std::string_view text) {
  std::size_t at = 0;
  std::uint64_t whole = 0, fraction = 0, scale = 1;
  bool too_large = false;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    whole = whole * 10 + static_cast<std::uint64_t>(text[at] - '0');
    if (whole > kMax) too_large = true, whole = kMax;
  }
  if (at == 0) return tl::unexpected(Wrong::kForm);
  if (at < text.size() && text[at] == '.') {
    const std::size_t begin = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      fraction = fraction * 10 + static_cast<std::uint64_t>(text[at] - '0');
      scale *= 10;
      if (at - begin >= kMaxFractionDigits) return tl::unexpected(Wrong::kForm);
    }
    if (at == begin) return tl::unexpected(Wrong::kForm);
  }
  const auto unit = unit_bytes(text.substr(at));
  if (!unit || (*unit == 1 && fraction != 0)) return tl::unexpected(Wrong::kForm);
  if (too_large || whole > kMax / *unit) return tl::unexpected(Wrong::kTooLarge);
  const std::uint64_t bytes = whole * *unit + fraction * *unit / scale;
  if (bytes > kMax) return tl::unexpected(Wrong::kTooLarge);
  if (bytes == 0) return tl::unexpected(Wrong::kZero);
  return bytes;
}

tl::unexpected<Error> refuse(Wrong wrong, std::string_view what, std::string_view text, std::string_view form) {
  const std::string_view why = wrong == Wrong::kZero       ? "must be more than zero"
                               : wrong == Wrong::kTooLarge ? "is too large"
                                                           : "is not understood";
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} '{}' {}; the right form is {}", what, printable(text, 60), why, form));
}

}  // namespace

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  std::uint64_t unit = 1000;
  std::size_t index = 0;
  for (;;) {
    const std::uint64_t tenths = bytes % unit * 10 / unit + (bytes % unit * 10 % unit * 2 >= unit ? 1 : 0);
    const std::uint64_t shown = bytes / unit * 10 + tenths;
    if (shown < 10'000 || index + 1 == kUnits.size()) {
      return fmt::format("{}.{} {}", shown / 10, shown % 10, kUnits[index]);
    }
    unit *= 1000;
    ++index;
  }
}

std::string format_rate(double bytes_per_second) {
  constexpr double kMost = 1e18;
  const double rate = std::isfinite(bytes_per_second) && bytes_per_second > 0 ? std::min(bytes_per_second, kMost) : 0;
  return format_size(static_cast<std::uint64_t>(std::llround(rate))) + "/s";
}

Result<std::uint64_t> parse_size(std::string_view text, std::string_view what) {
  const auto bytes = parse_amount(text);
  if (!bytes) return refuse(bytes.error(), what, text, "a number of bytes like 64MiB, 64M, 800k or 1048576");
  return *bytes;
}

Result<std::uint64_t> parse_rate(std::string_view text, std::string_view what) {
  if (text == "off") return 0;
  const std::string_view amount = text.ends_with("/s") ? text.substr(0, text.size() - 2) : text;
  const auto bytes = parse_amount(amount);
  if (!bytes) return refuse(bytes.error(), what, text, "bytes a second like 5M, 800k or 2MiB, or off for no limit");
  return *bytes;
}

}  // namespace pullama
