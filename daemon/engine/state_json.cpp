#include "daemon/engine/state_json.h"

#include <fmt/format.h>

#include <iterator>
#include <span>

#include "common/json_text.h"
#include "daemon/io/xxh3.h"

namespace pullama::engine {
namespace {

using nlohmann::json;

constexpr std::string_view kChecksumMember = ",\"checksum\":\"";

io::Xxh128 checksum_of(std::string_view text) { return io::xxh3(std::as_bytes(std::span(text.data(), text.size()))); }

std::string words_hex(const io::Sha256::Midstate& midstate) {
  std::string hex;
  for (const std::uint32_t word : midstate.words) fmt::format_to(std::back_inserter(hex), "{:08x}", word);
  return hex;
}

std::optional<std::array<std::uint32_t, 8>> parse_words(const std::string& hex) {
  if (hex.size() != 64) return std::nullopt;
  std::array<std::uint32_t, 8> words{};
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
    words[i / 8] = words[i / 8] << 4 | digit;
  }
  return words;
}

}  // namespace

std::string sealed(std::string text) {
  const std::string checksum = checksum_of(text).hex();
  text += kChecksumMember;
  text += checksum;
  text += "\"}\n";
  return text;
}

void check_seal(std::string_view text) {
  const auto at = text.rfind(kChecksumMember);
  if (at == std::string_view::npos) throw BadState{"it has no checksum"};
  const auto stated = io::Xxh128::from_hex(text.substr(at + kChecksumMember.size(), 32));
  if (!stated || *stated != checksum_of(text.substr(0, at)) ||
      text.substr(at + kChecksumMember.size() + 32) != "\"}\n") {
    throw BadState{"its checksum is wrong"};
  }
}

json parse_document(std::string_view text, const Digest& digest, std::uint64_t size_bytes, std::uint64_t version) {
  json document = json::parse(text, nullptr, false);
  if (holds_nul(text) || !document.is_object()) throw BadState{"it is no JSON object"};
  if (number(document, "version") != version) throw BadState{fmt::format("its version is not {}", version)};
  if (text_of(document, "digest") != digest.str()) throw BadState{"it belongs to another digest"};
  if (number(document, "size") != size_bytes) throw BadState{"it belongs to another size"};
  return document;
}

const json& member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw BadState{fmt::format("member \"{}\" is missing", name)};
  return *found;
}

std::uint64_t number(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_number_unsigned()) throw BadState{fmt::format("\"{}\" is no whole number", name)};
  return value.get<std::uint64_t>();
}

std::string text_of(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_string()) throw BadState{fmt::format("\"{}\" is no string", name)};
  return value.get<std::string>();
}

const json& list_of(const json& object, const char* name) {
  const json& value = member(object, name);
  if (!value.is_array()) throw BadState{fmt::format("\"{}\" is no list", name)};
  return value;
}

std::string front_member(const std::optional<io::Sha256::Midstate>& front) {
  if (!front || front->length_bytes == 0) return {};
  return fmt::format(R"(,"front":{{"offset":{},"sha256":"{}"}})", front->length_bytes, words_hex(*front));
}

std::optional<io::Sha256::Midstate> parse_front(const json& document, std::uint64_t limit) {
  const auto front = document.find("front");
  if (front == document.end()) return std::nullopt;
  if (!front->is_object()) throw BadState{"\"front\" is no object"};
  const std::uint64_t offset = number(*front, "offset");
  const auto words = parse_words(text_of(*front, "sha256"));
  if (!words) throw BadState{"the front's state is malformed"};
  if (offset % 64 != 0 || offset > limit) throw BadState{"the front is ahead of what was received"};
  return io::Sha256::Midstate{*words, offset};
}

}  // namespace pullama::engine
