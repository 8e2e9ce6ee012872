#include "client/gguf.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/support/io/temp_dir.h"

using namespace pullama;
using namespace pullama::client;

namespace {

// Writes a header as a model maker does.
class Maker {
 public:
  explicit Maker(std::uint32_t version = 3) : wide_(version >= 2) { number(version, 4); }

  Maker& number(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) body_ += static_cast<char>(value >> (8 * i));
    return *this;
  }
  Maker& count(std::uint64_t value) { return number(value, wide_ ? 8 : 4); }
  Maker& text(const std::string& value) {
    count(value.size());
    body_ += value;
    return *this;
  }
  Maker& counts(std::uint64_t tensors, std::uint64_t entries) { return count(tensors).count(entries); }
  Maker& key(const std::string& name, std::uint32_t type) { return text(name).number(type, 4); }
  std::string str() const { return "GGUF" + body_; }

 private:
  bool wide_;
  std::string body_;
};

Result<GgufHeader> parse(const std::string& bytes) { return parse_gguf(std::as_bytes(std::span(bytes))); }

std::string usual(std::uint32_t version) {
  Maker maker(version);
  maker.counts(291, 8);
  maker.key("llama.context_length", 4).number(131072, 4);
  maker.key("general.architecture", 8).text("llama");
  maker.key("llama.embedding_length", 10).number(3072, 8);
  maker.key("general.file_type", 4).number(15, 4);
  maker.key("llama.rope.freq_base", 6).number(0x48F42400, 4);
  maker.key("tokenizer.ggml.tokens", 9).number(8, 4).count(3).text("a").text("").text("long token");
  maker.key("tokenizer.ggml.scores", 9).number(6, 4).count(3).number(0, 4).number(0, 4).number(0, 4);
  maker.key("llama.vision.block_count", 5).number(32, 4);
  return maker.str();
}

}  // namespace

TEST_CASE("the header of each version is read, whatever the order of its keys") {
  for (const std::uint32_t version : {1U, 2U, 3U}) {
    CAPTURE(version);
    const auto header = parse(usual(version));
    REQUIRE_MESSAGE(header, (header ? "" : header.error().message));
    CHECK(header->complete);
    CHECK(header->architecture == "llama");
    CHECK(header->context_length == 131072U);
    CHECK(header->embedding_length == 3072U);
    CHECK(header->sees);
    CHECK_FALSE(header->hears);
    CHECK_FALSE(header->pools);
  }
}

TEST_CASE("cut off at every byte, it says what was there and claims no more") {
  for (const std::uint32_t version : {1U, 3U}) {
    const std::string whole = usual(version);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const auto header = parse(whole.substr(0, length));
      REQUIRE(header);
      CHECK_FALSE(header->complete);
      if (header->context_length) CHECK(*header->context_length == 131072U);
      CHECK((header->architecture.empty() || header->architecture == "llama"));
    }
  }
}

TEST_CASE("each byte changed to anything: no crash, no endless loop") {
  const std::string whole = usual(3);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x01, 0x08, 0x09, 0x7F, 0x80, 0xFF}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(value);
      const auto header = parse(bytes);
      if (header) CHECK(header->architecture.size() <= kMaxGgufArchitectureBytes);
    }
  }
}

TEST_CASE("what is no GGUF, or too much of one, is refused") {
  CHECK_FALSE(parse("GGML and more"));
  CHECK_FALSE(parse("PK"));
  CHECK_FALSE(parse(Maker(4).str()));
  CHECK_FALSE(parse(Maker(0).str()));
  CHECK_FALSE(parse(Maker(0x03000000).str()));  // big-endian
  CHECK_FALSE(parse(Maker(3).counts(0, kMaxGgufEntries + 1).str()));
  CHECK_FALSE(parse(Maker(3).counts(0, UINT64_MAX).str()));
  // A key that is too long, a type that is none, an architecture that is a novel.
  CHECK_FALSE(parse(Maker(3).counts(0, 1).count(kMaxGgufKeyBytes + 1).str() + std::string(70'000, 'k')));
  CHECK_FALSE(parse(Maker(3).counts(0, 1).key("k", 13).str()));
  CHECK_FALSE(parse(Maker(3).counts(0, 1).key("k", 9).number(13, 4).count(1).str()));
  CHECK_FALSE(parse(Maker(3).counts(0, 1).key("general.architecture", 8).text(std::string(129, 'a')).str()));
}

TEST_CASE("lengths that cannot be end the reading and nothing else") {
  for (const std::uint64_t length : {UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 8 + 1, std::uint64_t{1} << 40}) {
    CAPTURE(length);
    Maker maker(3);
    maker.counts(0, 3).key("general.architecture", 8).text("llama");
    const Maker start = maker;
    for (const std::uint32_t element : {0U, 8U, 9U, 12U}) {
      Maker array = start;
      const auto header = parse(array.key("a", 9).number(element, 4).count(length).str());
      REQUIRE(header);
      CHECK_FALSE(header->complete);
      CHECK(header->architecture == "llama");
    }
    Maker text = start;
    CHECK_FALSE(parse(text.key("s", 8).count(length).str())->complete);
  }
}

TEST_CASE("arrays in arrays end somewhere") {
  Maker maker(3);
  maker.counts(0, 1).key("deep", 9);
  for (int i = 0; i < 100; ++i) maker.number(9, 4).count(1);
  CHECK_FALSE(parse(maker.str()));
  Maker shallow(3);
  shallow.counts(0, 1).key("pairs", 9).number(9, 4).count(2);
  for (int i = 0; i < 2; ++i) shallow.number(4, 4).count(2).number(1, 4).number(2, 4);
  CHECK(parse(shallow.str())->complete);
}

TEST_CASE("a negative length is none, one of another architecture neither") {
  Maker maker(3);
  maker.counts(0, 3).key("general.architecture", 8).text("llama");
  maker.key("llama.context_length", 5).number(0xFFFFFFFF, 4).key("bert.embedding_length", 4).number(5, 4);
  const auto header = parse(maker.str());
  REQUIRE(header);
  CHECK(header->complete);
  CHECK_FALSE(header->context_length);
  CHECK_FALSE(header->embedding_length);
}

TEST_CASE("a file is read as far as needed; what is no file is refused") {
  const testing::TempDir dir;
  Maker maker(3);
  // The interesting key lies behind a vocabulary of some megabytes.
  maker.counts(0, 3).key("general.architecture", 8).text("bert");
  maker.key("tokenizer.ggml.tokens", 9).number(8, 4).count(1).text(std::string(5 << 20, 't'));
  maker.key("bert.pooling_type", 4).number(1, 4);
  dir.write("model", maker.str() + std::string(3 << 20, 'w'));
  const auto header = read_gguf(dir / "model");
  REQUIRE_MESSAGE(header, (header ? "" : header.error().message));
  CHECK(header->complete);
  CHECK(header->pools);
  dir.write("short", maker.str().substr(0, 2'000'000));
  CHECK_FALSE(read_gguf(dir / "short")->complete);
  CHECK_FALSE(read_gguf(dir / "missing"));
  CHECK_FALSE(read_gguf(dir.path().string()));
}
