#pragma once
// The header of a GGUF file, as far as `show` needs it. The file may be hostile (CVE-2026-7482), so it is read in the
// client's process and never in the daemon's, and here everything is bounded: bytes, counts, lengths of strings, depth;
// arithmetic is checked. Pure: bytes in, header out.
//
// Format (little-endian, versions 1 to 3): "GGUF", u32 version, tensor count, metadata count (u32 in version 1, else
// u64), then the metadata: key (length and bytes), u32 type, value. Arrays are u32 type, count, elements.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::client {

struct GgufHeader {
  std::string architecture;  // general.architecture; empty where it is not said
  std::optional<std::uint64_t> context_length, embedding_length;
  bool pools = false;     // <arch>.pooling_type: an embedding model
  bool sees = false;      // <arch>.vision.block_count
  bool hears = false;     // <arch>.audio.block_count
  bool complete = false;  // all metadata was read; else the bytes or a limit ended before, and what is said was there
};

inline constexpr std::size_t kMaxGgufBytes = 64 << 20;  // of the file's beginning; vocabularies are some 10 MB
inline constexpr std::uint64_t kMaxGgufEntries = 65'536;
inline constexpr std::uint64_t kMaxGgufKeyBytes = 65'535;
inline constexpr std::size_t kMaxGgufArchitectureBytes = 128;

// `bytes` is the beginning of the file. kCorrupt where it is no GGUF or contradicts itself. Bytes that end too early
// are no error: `complete` is false then.
Result<GgufHeader> parse_gguf(std::span<const std::byte> bytes);

// Of the file at `path`, reading no more of it than needed and at most kMaxGgufBytes. Something that is no regular file
// is kCorrupt, one that cannot be opened kPermission.
Result<GgufHeader> read_gguf(const std::string& path);

}  // namespace pullama::client
