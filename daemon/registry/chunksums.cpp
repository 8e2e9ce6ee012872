#include "daemon/registry/chunksums.h"

#include <algorithm>

#include "daemon/registry/ascii.h"

namespace pullama::registry {
namespace {

std::string_view next_word(std::string_view& rest) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  rest.remove_prefix(std::min(rest.find_first_not_of(kSpace), rest.size()));
  const auto end = std::min(rest.find_first_of(kSpace), rest.size());
  const auto word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

}  // namespace

std::optional<std::vector<Chunksum>> parse_chunksums(std::string_view body, std::uint64_t size_bytes) {
  if (body.size() > kMaxChunksumsBytes) return std::nullopt;
  std::vector<Chunksum> chunks;
  std::uint64_t next = 0;
  for (auto word = next_word(body); !word.empty(); word = next_word(body)) {
    if (chunks.size() == kMaxChunks) return std::nullopt;
    const auto digest = word.starts_with("sha256-") ? Digest::parse_file_name(word) : Digest::parse(word);
    const auto range = next_word(body);
    const auto dash = range.find('-');
    if (!digest || dash == std::string_view::npos) return std::nullopt;
    const auto first = parse_digits<std::uint64_t>(range.substr(0, dash));
    const auto last = parse_digits<std::uint64_t>(range.substr(dash + 1));
    if (!first || !last || *first != next || *last < *first || *last >= size_bytes) return std::nullopt;
    chunks.push_back({*digest, {*first, *last}});
    next = *last + 1;
  }
  if (chunks.empty() || next != size_bytes) return std::nullopt;
  return chunks;
}

}  // namespace pullama::registry
