#pragma once
// Reading queue.json strictly: every wrong member is kCorrupt with a clause that names it. Only for .cpp files here.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace pullama::queue {

using nlohmann::json;

// An object, nested no deeper than writing it again can stand.
Result<json> parse_object(std::string_view text);
const json* member(const json& object, const char* name);  // nullptr where there is none
Result<std::string> text_of(const json& object, const char* name, std::size_t max_bytes);
// A missing member is `otherwise` where that is given.
Result<std::uint64_t> number_of(const json& object, const char* name, std::uint64_t max,
                                std::optional<std::uint64_t> otherwise = {});
// Compact; bytes that are not UTF-8 become U+FFFD.
std::string compact(const json& value);

inline tl::unexpected<Error> corrupt(std::string what) { return fail(ErrorCode::kCorrupt, std::move(what)); }

}  // namespace pullama::queue
