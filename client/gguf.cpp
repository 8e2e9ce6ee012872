#include "client/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

namespace pullama::client {
namespace {

constexpr std::size_t kFirstRead = 1 << 20;
constexpr unsigned kMaxDepth = 4;  // of arrays in arrays

// The types of values that have a size of their own; 0: string or array.
constexpr std::uint32_t kString = 8, kArray = 9;
constexpr std::array<std::uint64_t, 13> kSizes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

enum class Step { kOk, kEnd, kBad };  // kEnd: the bytes ended

// Reads forward; never past the end.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  void set_version(std::uint32_t version) { wide_ = version >= 2; }

  Step number(std::size_t size, std::uint64_t& value) {
    if (bytes_.size() - at_ < size) return Step::kEnd;
    value = 0;
    for (std::size_t i = size; i > 0; --i) value = value << 8 | std::to_integer<std::uint64_t>(bytes_[at_ + i - 1]);
    at_ += size;
    return Step::kOk;
  }
  // A count or a length, whose width the version says.
  Step count(std::uint64_t& value) { return number(wide_ ? 8 : 4, value); }

  Step skip(std::uint64_t length) {
    if (bytes_.size() - at_ < length) return Step::kEnd;
    at_ += static_cast<std::size_t>(length);
    return Step::kOk;
  }

  Step text(std::uint64_t most, std::string& value) {
    std::uint64_t length = 0;
    if (const Step step = count(length); step != Step::kOk) return step;
    if (length > most) return Step::kBad;
    const std::size_t from = at_;
    if (const Step step = skip(length); step != Step::kOk) return step;
    value.resize(static_cast<std::size_t>(length));
    if (length > 0) std::memcpy(value.data(), bytes_.data() + from, static_cast<std::size_t>(length));
    return Step::kOk;
  }

  Step skip_value(std::uint64_t type, unsigned depth = 0) {
    if (type >= kSizes.size()) return Step::kBad;
    if (type == kString) {
      std::uint64_t length = 0;
      if (const Step step = count(length); step != Step::kOk) return step;
      return skip(length);
    }
    if (type != kArray) return skip(kSizes[type]);
    if (depth == kMaxDepth) return Step::kBad;
    std::uint64_t element = 0, elements = 0;
    if (const Step step = number(4, element); step != Step::kOk) return step;
    if (const Step step = count(elements); step != Step::kOk) return step;
    if (element >= kSizes.size()) return Step::kBad;
    if (const std::uint64_t size = kSizes[element]; size != 0) {
      // What does not fit into 64 bits is longer than what is left.
      if (elements > UINT64_MAX / size) return Step::kEnd;
      return skip(elements * size);
    }
    // Each string or array takes at least its length, so this ends with the bytes.
    for (; elements > 0; --elements) {
      if (const Step step = skip_value(element, depth + 1); step != Step::kOk) return step;
    }
    return Step::kOk;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool wide_ = true;
};

Error corrupt(const std::string& what) { return {ErrorCode::kCorrupt, what, {}, 0}; }

// Keys come in any order, and which of them count is known only with the architecture.
struct Facts {
  std::string architecture;
  std::map<std::string, std::uint64_t, std::less<>> numbers;  // of keys with a dot whose end we know
};

constexpr std::array<std::string_view, 5> kWanted{".context_length", ".embedding_length", ".pooling_type",
                                                  ".vision.block_count", ".audio.block_count"};

bool is_unsigned(std::uint64_t type) { return type == 0 || type == 2 || type == 4 || type == 10; }
bool is_signed(std::uint64_t type) { return type == 1 || type == 3 || type == 5 || type == 11; }

Step read_entry(Cursor& cursor, Facts& facts) {
  std::string key;
  std::uint64_t type = 0;
  if (const Step step = cursor.text(kMaxGgufKeyBytes, key); step != Step::kOk) return step;
  if (const Step step = cursor.number(4, type); step != Step::kOk) return step;
  if (key == "general.architecture" && type == kString) {
    return cursor.text(kMaxGgufArchitectureBytes, facts.architecture);
  }
  const bool wanted =
      std::any_of(kWanted.begin(), kWanted.end(), [&](std::string_view end) { return key.ends_with(end); });
  if (!wanted || !(is_unsigned(type) || is_signed(type))) return cursor.skip_value(type);
  const std::size_t size = kSizes[static_cast<std::size_t>(type)];
  std::uint64_t value = 0;
  if (const Step step = cursor.number(size, value); step != Step::kOk) return step;
  // A negative count says nothing.
  if (is_signed(type) && (value >> (size * 8 - 1) & 1) != 0) return Step::kOk;
  facts.numbers.emplace(std::move(key), value);
  return Step::kOk;
}

GgufHeader header_of(Facts facts, bool complete) {
  GgufHeader header;
  const auto value = [&](std::string_view end) -> std::optional<std::uint64_t> {
    const auto at = facts.numbers.find(facts.architecture + std::string(end));
    return at == facts.numbers.end() ? std::nullopt : std::optional(at->second);
  };
  header.context_length = value(".context_length");
  header.embedding_length = value(".embedding_length");
  header.pools = value(".pooling_type").has_value();
  header.sees = value(".vision.block_count").has_value();
  header.hears = value(".audio.block_count").has_value();
  header.architecture = std::move(facts.architecture);
  header.complete = complete;
  return header;
}

}  // namespace

Result<GgufHeader> parse_gguf(std::span<const std::byte> bytes) {
  constexpr std::string_view kMagic = "GGUF";
  const std::size_t known = std::min(bytes.size(), kMagic.size());
  if (known > 0 && std::memcmp(bytes.data(), kMagic.data(), known) != 0) return fail(corrupt("it is no GGUF file"));
  Cursor cursor(bytes);
  std::uint64_t version = 0, tensors = 0, entries = 0;
  Facts facts;
  if (cursor.skip(kMagic.size()) != Step::kOk || cursor.number(4, version) != Step::kOk) return header_of({}, false);
  // A big-endian file's version is one of these in the high bytes.
  if (version < 1 || version > 3) return fail(corrupt("its GGUF version is not 1, 2 or 3"));
  cursor.set_version(static_cast<std::uint32_t>(version));
  if (cursor.count(tensors) != Step::kOk || cursor.count(entries) != Step::kOk) return header_of({}, false);
  if (entries > kMaxGgufEntries) return fail(corrupt("it has more metadata than a model may have"));
  for (; entries > 0; --entries) {
    switch (read_entry(cursor, facts)) {
      case Step::kOk:
        break;
      case Step::kEnd:
        return header_of(std::move(facts), false);
      case Step::kBad:
        return fail(corrupt("its metadata cannot be read"));
    }
  }
  return header_of(std::move(facts), true);
}

Result<GgufHeader> read_gguf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return fail(corrupt(path + " is no regular file"));
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::kPermission, path + " cannot be opened");
  std::vector<char> bytes;
  for (std::size_t size = kFirstRead;; size *= 4) {
    size = std::min(size, kMaxGgufBytes);
    const std::size_t before = bytes.size();
    bytes.resize(size);
    file.read(bytes.data() + before, static_cast<std::streamsize>(size - before));
    bytes.resize(before + static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
    auto header = parse_gguf(std::as_bytes(std::span(bytes)));
    const bool more = file.good() && size < kMaxGgufBytes;
    if (!header || header->complete || !more) return header;
  }
}

}  // namespace pullama::client
