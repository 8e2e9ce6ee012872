#pragma once
// A blob of 100 bytes at a registry that answers by script, and a sink that keeps what it gets.

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "daemon/registry/blob_source.h"
#include "tests/daemon/registry/registry_fixture.h"

namespace pullama::testing::blob {

inline constexpr std::uint64_t kSize = 100;
inline constexpr const char* kCdn = "https://cdn.example/d?Signature=hush%2B%2f";

inline std::string content() {
  std::string text;
  for (std::size_t i = 0; i < kSize; ++i) text += static_cast<char>('!' + i % 90);
  return text;
}

class Sink final : public pullama::registry::BlobSink {
 public:
  bool on_whole_body() override {
    ++whole_bodies;
    return take_whole;
  }
  bool on_skipped(std::uint64_t bytes) override {
    skipped += bytes;
    return skipped < stop_after;
  }
  bool on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (got.empty()) first = offset;
    CHECK(offset == first + got.size());
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return got.size() < stop_after;
  }
  bool on_tick() override { return ticking; }

  std::string got;
  std::uint64_t first = 0, skipped = 0;
  unsigned whole_bodies = 0;
  bool take_whole = true, ticking = true;
  std::size_t stop_after = 1'000'000;
};

inline FakeReply part(std::uint64_t first, std::uint64_t last) {
  return {206,
          {{"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/100"}},
          content().substr(first, last - first + 1)};
}

inline FakeReply moved(const std::string& to = kCdn) { return {307, {{"Location", to}}, "Temporary Redirect"}; }

struct Pull {
  Pull()
      : registry(fixture.make()),
        source(registry.blob(fixture.model(), fixture.digest(), kSize)),
        connection(registry.connect()) {}
  pullama::registry::Outcome<void> fetch(std::uint64_t first, std::uint64_t last) {
    sink.got.clear();
    return source->fetch(*connection, {first, last}, sink, {});
  }
  pullama::registry::Fault fault(std::uint64_t first = 10, std::uint64_t last = 19) {
    auto result = fetch(first, last);
    REQUIRE_FALSE(result);
    CHECK(result.error().error.message.find("hush") == std::string::npos);
    return result.error();
  }
  RegistryFixture fixture;
  pullama::registry::Registry registry;
  std::unique_ptr<pullama::registry::BlobSource> source;
  std::unique_ptr<pullama::registry::HttpConnection> connection;
  Sink sink;
};

}  // namespace pullama::testing::blob
