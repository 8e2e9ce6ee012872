#include "daemon/engine/upload_state.h"

#include <fmt/format.h>

#include <iterator>

#include "daemon/engine/state_json.h"

namespace pullama::engine {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxTextBytes = 8192;

std::string bounded_text(const json& document, const char* name) {
  auto text = text_of(document, name);
  if (text.empty() || text.size() > kMaxTextBytes) throw BadState{fmt::format("\"{}\" has a wrong length", name)};
  return text;
}

std::vector<std::optional<io::Md5Digest>> parse_parts(const json& document, std::uint64_t size_bytes,
                                                      std::uint64_t part_bytes) {
  const json& list = list_of(document, "parts");
  // In this order nothing can overflow.
  const std::uint64_t count = size_bytes / part_bytes + (size_bytes % part_bytes == 0 ? 0 : 1);
  if (count > kMaxUploadParts || list.size() != count) throw BadState{"its parts do not cover the blob"};
  std::vector<std::optional<io::Md5Digest>> parts;
  for (const json& entry : list) {
    parts.emplace_back();
    if (entry.is_null()) continue;
    if (entry.is_string()) parts.back() = io::Md5Digest::from_hex(entry.get<std::string>());
    if (!parts.back()) throw BadState{"a part has a malformed MD5"};
  }
  return parts;
}

}  // namespace

std::string format_upload_state(const Digest& digest, std::uint64_t size_bytes, const UploadState& state) {
  // json writes strings, so that nothing in a URL can break out.
  std::string out =
      fmt::format(R"({{"version":1,"digest":"{}","size":{},"host":{},"repository":{},"session":{},"offset":{})",
                  digest.str(), size_bytes, json(state.host).dump(-1, ' ', true, json::error_handler_t::replace),
                  json(state.repository).dump(-1, ' ', true, json::error_handler_t::replace),
                  json(state.session).dump(-1, ' ', true, json::error_handler_t::replace), state.offset);
  out += front_member(state.front);
  if (state.part_bytes > 0) {
    fmt::format_to(std::back_inserter(out), R"(,"part_bytes":{},"parts":[)", state.part_bytes);
    for (std::size_t i = 0; i < state.parts.size(); ++i) {
      if (i > 0) out += ',';
      out += state.parts[i] ? '"' + state.parts[i]->hex() + '"' : "null";
    }
    out += ']';
  }
  return sealed(std::move(out));
}

Result<UploadState> parse_upload_state(std::string_view text, const Digest& digest, std::uint64_t size_bytes) {
  try {
    if (text.size() > kMaxUploadStateBytes) throw BadState{"it is longer than 1 MiB"};
    check_seal(text);
    const json document = parse_document(text, digest, size_bytes, 1);
    UploadState state;
    state.host = bounded_text(document, "host");
    state.repository = bounded_text(document, "repository");
    state.session = bounded_text(document, "session");
    state.offset = number(document, "offset");
    if (state.offset > size_bytes) throw BadState{"\"offset\" lies past the end"};
    state.front = parse_front(document, size_bytes);
    if (document.contains("part_bytes")) {
      state.part_bytes = number(document, "part_bytes");
      if (state.part_bytes == 0) throw BadState{"\"part_bytes\" is 0"};
      state.parts = parse_parts(document, size_bytes, state.part_bytes);
    }
    return state;
  } catch (const BadState& bad) {
    return fail(ErrorCode::kCorrupt, bad.what);
  } catch (const json::exception&) {
    return fail(ErrorCode::kCorrupt, "it is malformed JSON");
  }
}

}  // namespace pullama::engine
