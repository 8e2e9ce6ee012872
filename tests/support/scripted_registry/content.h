#pragma once
// The bytes of a blob: a text, a file, or made from a seed without being stored. Read-only after construction, so any
// number of connections may read it at once.
//
// Seeded bytes, which tests/e2e/blobs.py makes too: block = SHAKE128("pullama-blob:<seed>"), 1 MiB long; byte o of the
// blob is block[o mod 1 MiB], but the first eight bytes of each MiB hold its number, little-endian.

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace pullama::scripted {

class Content {
 public:
  virtual ~Content() = default;
  virtual std::uint64_t size() const = 0;
  // offset + into.size() is at most size().
  virtual void read(std::uint64_t offset, std::span<char> into) const = 0;

  // {"text":…} | {"seed":N,"size":N} | {"file":"/path"}; throws std::runtime_error on anything else.
  static std::shared_ptr<const Content> from_json(const nlohmann::json& description);
  static std::shared_ptr<const Content> of_text(std::string text);
};

// "sha256:<hex>" of a part of the content.
std::string sha256_of(const Content& content, std::uint64_t offset, std::uint64_t length);
std::string sha256_of(const Content& content);

}  // namespace pullama::scripted
