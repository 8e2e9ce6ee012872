#pragma once
// The body of /v2/<repository>/chunksums/<digest>: "<chunk digest> <first>-<last>" over and over, words separated by
// any white space, digests with ':' or '-' (registry-protocol.md section 3.6). Chunk digests only localise damage: the
// blob's own digest stays the authority. Pure.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "daemon/registry/registry.h"

namespace pullama::registry {

inline constexpr std::uint64_t kMaxChunksumsBytes = 16ULL << 20;
inline constexpr std::size_t kMaxChunks = 131'072;

// nullopt unless every word is well formed and the chunks cover 0..size_bytes-1 exactly, in order, without gap or
// overlap.
std::optional<std::vector<Chunksum>> parse_chunksums(std::string_view body, std::uint64_t size_bytes);

}  // namespace pullama::registry
