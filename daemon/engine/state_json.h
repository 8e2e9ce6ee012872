#pragma once
// How the engine's small state files (checkpoint, upload state) are read and sealed: strict members, and an XXH3-128 of
// the text before `,"checksum"` at the end. The readers throw BadState or a json::exception; who parses a file catches
// both and says kCorrupt.

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/digest.h"
#include "daemon/io/sha256.h"

namespace pullama::engine {

struct BadState {
  std::string what;
};

// `text` lacks its closing brace; the checksum, the brace and a line break are appended.
std::string sealed(std::string text);
void check_seal(std::string_view text);

// An object with this version, digest and size.
nlohmann::json parse_document(std::string_view text, const Digest& digest, std::uint64_t size_bytes,
                              std::uint64_t version);

const nlohmann::json& member(const nlohmann::json& object, const char* name);
std::uint64_t number(const nlohmann::json& object, const char* name);
std::string text_of(const nlohmann::json& object, const char* name);
const nlohmann::json& list_of(const nlohmann::json& object, const char* name);

// `,"front":{…}` where there is something to say.
std::string front_member(const std::optional<io::Sha256::Midstate>& front);
// The front of a document, at most `limit` bytes far.
std::optional<io::Sha256::Midstate> parse_front(const nlohmann::json& document, std::uint64_t limit);

}  // namespace pullama::engine
