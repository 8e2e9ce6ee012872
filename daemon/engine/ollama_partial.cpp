#include "daemon/engine/ollama_partial.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <string>

#include "common/json_text.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

// Ollama makes at most 16 parts; more than this is nobody's download.
constexpr std::size_t kMaxParts = 1024;
constexpr std::uint64_t kMaxPartFileBytes = 4096;

std::optional<std::uint64_t> number(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

}  // namespace

std::optional<Claim> parse_ollama_part(std::string_view text, std::uint64_t size_bytes) {
  const auto document = nlohmann::json::parse(text, nullptr, false);
  if (holds_nul(text) || !document.is_object()) return std::nullopt;
  const auto offset = number(document, "Offset");
  const auto size = number(document, "Size");
  const auto completed = number(document, "Completed");
  if (!offset || !size || !completed) return std::nullopt;
  if (*offset > size_bytes || *size > size_bytes - *offset || *completed > *size) return std::nullopt;
  return Claim{*offset, *offset + *completed};
}

std::optional<OllamaPartial> read_ollama_partial(io::FileSystem& fs, const Digest& digest, std::uint64_t size_bytes) {
  const auto data = fs.stat(store::ollama_partial_path(digest));
  if (!data || data->kind != io::FileStat::Kind::kFile || data->size_bytes > size_bytes) return std::nullopt;
  const auto entries = fs.list(store::kBlobsDir);
  if (!entries) return std::nullopt;
  const std::string prefix = digest.file_name() + "-partial-";
  OllamaPartial result;
  for (const auto& entry : *entries) {
    if (!entry.name.starts_with(prefix)) continue;
    unsigned part = 0;
    const char* begin = entry.name.data() + prefix.size();
    const char* end = entry.name.data() + entry.name.size();
    const auto parsed = std::from_chars(begin, end, part);
    if (parsed.ec != std::errc() || parsed.ptr != end) continue;
    if (result.part_numbers.size() >= kMaxParts) return std::nullopt;
    result.part_numbers.push_back(part);
    // One that a crash left empty or torn says nothing; the others do.
    const auto text = fs.read_file(std::string(store::kBlobsDir) + "/" + entry.name, kMaxPartFileBytes);
    auto range = text ? parse_ollama_part(*text, size_bytes) : std::nullopt;
    if (!range) continue;
    // Beyond the file's end nothing can lie.
    range->end = std::min(range->end, std::max(range->begin, data->size_bytes));
    if (range->bytes() > 0) result.present.push_back(*range);
  }
  if (result.part_numbers.empty()) return std::nullopt;
  return result;
}

}  // namespace pullama::engine
