#pragma once
// What an Ollama server leaves of an unfinished download: blobs/sha256-<hex>-partial, written at offsets, and beside it
// one file a part, `{"N":0,"Offset":0,"Size":100000000,"Completed":12345}`. Pure parsing plus the reading of the part
// files.

#include <optional>
#include <string_view>
#include <vector>

#include "daemon/engine/chunk_plan.h"
#include "daemon/io/file_system.h"

namespace pullama::engine {

struct OllamaPartial {
  std::vector<Claim> present;  // what its parts that can be read say is there
  std::vector<unsigned> part_numbers;
};

// nullopt where the text is no part file of a blob of this size.
std::optional<Claim> parse_ollama_part(std::string_view text, std::uint64_t size_bytes);

// nullopt where there is no such download, or more parts than anybody makes.
std::optional<OllamaPartial> read_ollama_partial(io::FileSystem& fs, const Digest& digest, std::uint64_t size_bytes);

}  // namespace pullama::engine
