#include "daemon/engine/checkpoint.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

using namespace pullama;
using engine::ChunkPlan;
using engine::parse_checkpoint;

namespace {

const Digest kDigest = *Digest::parse("sha256:" + std::string(64, 'c'));

ChunkPlan half_done(std::uint64_t size = 1000) {
  auto plan = ChunkPlan::fresh(size, 300);
  const auto claim = plan.claim(size, 500);
  std::uint64_t at = claim->begin;
  for (const std::uint64_t stop : {std::uint64_t{300}, std::uint64_t{450}}) {
    io::Xxh3 state = plan.take_running(at);
    const std::vector<std::byte> bytes(stop - at, std::byte{7});
    state.update(bytes);
    plan.commit(at, stop - at, state);
    at = stop;
  }
  return plan;
}

io::Sha256::Midstate midstate_after(std::uint64_t bytes) {
  io::Sha256 hash;
  const std::vector<std::byte> data(bytes, std::byte{7});
  hash.update(data);
  return *hash.midstate();
}

std::string text() { return engine::format_checkpoint(kDigest, 42, 1000, 1, midstate_after(448), half_done()); }

// The same document with a change, and a checksum that fits.
std::string changed(const std::string& from, const std::string& to) {
  std::string document = text();
  const auto at = document.find(from);
  REQUIRE(at != std::string::npos);
  document.replace(at, from.size(), to);
  const auto sum = document.rfind(",\"checksum\":\"");
  document.resize(sum);
  const auto checksum = io::xxh3(std::as_bytes(std::span(document.data(), document.size()))).hex();
  return document + ",\"checksum\":\"" + checksum + "\"}\n";
}

}  // namespace

TEST_CASE("a checkpoint comes back as it was written") {
  const auto parsed = parse_checkpoint(text(), kDigest, 1000);
  REQUIRE(parsed);
  CHECK(parsed->inode == 42);
  CHECK(parsed->length_bytes == 1000);
  CHECK(parsed->restarts == 1);
  REQUIRE(parsed->front);
  CHECK(*parsed->front == midstate_after(448));
  CHECK(parsed->plan.received_bytes() == 450);
  CHECK(parsed->plan.first_missing() == 450);
  for (const auto& chunk : parsed->plan.chunks()) CHECK(chunk.checked == (chunk.received == 0));
}

TEST_CASE("it is one line of JSON that says its version") {
  const std::string document = text();
  CHECK(document.find('\n') == document.size() - 1);
  const auto json = nlohmann::json::parse(document);
  CHECK(json["version"] == 2);
  CHECK(json["digest"] == kDigest.str());
  CHECK(json["chunks"][0]["end"] == 299);
}

TEST_CASE("a checkpoint that is cut short anywhere is refused") {
  const std::string document = text();
  for (std::size_t length = 0; length < document.size(); ++length) {
    CHECK_FALSE(parse_checkpoint(document.substr(0, length), kDigest, 1000));
  }
}

TEST_CASE("a checkpoint with any one byte changed is refused") {
  const std::string document = text();
  for (std::size_t i = 0; i < document.size(); ++i) {
    std::string damaged = document;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
    CHECK_MESSAGE(!parse_checkpoint(damaged, kDigest, 1000), "byte ", i);
  }
}

TEST_CASE("a checkpoint that contradicts itself is refused, whatever its checksum") {
  struct Row {
    const char* from;
    const char* to;
  };
  const Row rows[] = {
      {"\"version\":2", "\"version\":3"},
      {"\"size\":1000", "\"size\":1001"},
      {"\"start\":0,", "\"start\":1,"},
      {"\"end\":299", "\"end\":298"},
      {"\"end\":299", "\"end\":99999999999999999999"},
      {"\"received\":300", "\"received\":301"},
      {"\"received\":300", "\"received\":-1"},
      {"\"offset\":448", "\"offset\":512"},
      {"\"offset\":448", "\"offset\":449"},
      {"\"chunk_bytes\":300", "\"chunk_bytes\":0"},
      {"\"restarts\":1", "\"restarts\":\"1\""},
      {"\"chunks\":[", "\"chunks\":[null,"},
      {"\"xxh3\":\"", "\"xxh3\":\"z"},
  };
  for (const Row& row : rows) {
    const auto parsed = parse_checkpoint(changed(row.from, row.to), kDigest, 1000);
    CHECK_MESSAGE(!parsed, row.from, " → ", row.to);
    if (!parsed) CHECK_FALSE(parsed.error().message.empty());
  }
  CHECK_FALSE(parse_checkpoint(text(), *Digest::parse("sha256:" + std::string(64, 'd')), 1000));
}

TEST_CASE("which chunks were verified survives, and the list fetched again completes the plan") {
  const std::vector<ChunkPlan::Group> groups{
      {0, 300, kDigest, false, 0}, {300, 600, kDigest, false, 0}, {600, 1000, kDigest, false, 0}};
  auto plan = ChunkPlan::with_groups(1000, groups);
  plan.claim(1000, 700);
  const std::vector<std::byte> bytes(300);
  for (const std::uint64_t at : {0ULL, 300ULL}) {
    io::Xxh3 state;
    state.update(bytes);
    plan.commit(at, 300, state);
  }
  plan.group_verified(0);
  const auto text = engine::format_checkpoint(kDigest, 1, 1000, 0, std::nullopt, plan);
  auto parsed = parse_checkpoint(text, kDigest, 1000);
  REQUIRE(parsed);
  CHECK(parsed->plan.listed());
  CHECK(parsed->plan.groups().empty());
  parsed->plan.set_groups(groups);
  CHECK(parsed->plan.groups()[0].verified);
  CHECK_FALSE(parsed->plan.groups()[1].verified);
  CHECK_FALSE(parsed->plan.groups()[2].verified);
  CHECK(parsed->plan.groups_to_verify() == std::vector<std::size_t>{1});
  CHECK(parsed->plan.received_bytes() == 600);
  CHECK(parsed->plan.chunks().back().group == 2);
  // Without the list the plan goes on as it is, and says again what is doubtful.
  const auto again = parse_checkpoint(text, kDigest, 1000);
  REQUIRE(again);
  CHECK(engine::format_checkpoint(kDigest, 1, 1000, 0, std::nullopt, again->plan) == text);
}

TEST_CASE("any number of chunksums keeps the checkpoint under 256 KiB") {
  constexpr std::uint64_t kGroups = 12'000, kEach = 1 << 10;
  std::vector<ChunkPlan::Group> groups;
  for (std::uint64_t i = 0; i < kGroups; ++i) groups.push_back({i * kEach, (i + 1) * kEach, kDigest, false, 0});
  auto plan = ChunkPlan::with_groups(kGroups * kEach, std::move(groups), 1);
  const std::vector<std::byte> bytes(kEach);
  for (std::uint64_t i = 0; i < kGroups; ++i) {
    const auto claim = plan.claim(kGroups * kEach, kEach);
    REQUIRE(claim);
    if (i == 6000) continue;  // somebody has it, and the front waits there
    io::Xxh3 state;
    state.update(bytes);
    const auto whole = plan.commit(claim->begin, kEach, state);
    REQUIRE(whole);
    plan.group_verified(*whole);
    while (i % 100 == 99 && plan.entries() > ChunkPlan::kMaxChunks) {
      const auto range = plan.mergeable(0);
      REQUIRE(range);
      plan.merge(*range, state.digest());
    }
    if (i % 1000 == 999) {
      CHECK(engine::format_checkpoint(kDigest, 1ULL << 60, kGroups * kEach, 0, std::nullopt, plan).size() <
            (256U << 10));
    }
  }
}

TEST_CASE("two thousand chunks stay under 256 KiB") {
  const std::uint64_t size = (1ULL << 40) + 5;
  auto plan = ChunkPlan::fresh(size, size / 1999);
  CHECK(engine::format_checkpoint(kDigest, 1ULL << 60, size, 0, midstate_after(64), plan).size() < (256U << 10));
}

TEST_CASE("of the original's checkpoint only the leading verified run counts") {
  const std::string v1 = R"({"version":1,"digest":")" + kDigest.str() +
                         R"(","size":1000,"chunks":[{"start":0,"end":299,"verified":true},)"
                         R"({"start":300,"end":599,"expected_digest":"sha256:00","verified":true},)"
                         R"({"start":600,"end":899,"verified":false},{"start":900,"end":999,"verified":true}]})";
  const auto parsed = engine::parse_checkpoint_v1(v1, kDigest, 1000, 256);
  REQUIRE(parsed);
  CHECK(parsed->plan.received_bytes() == 600);
  CHECK(parsed->plan.first_missing() == 600);
  CHECK_FALSE(parsed->front);
  for (const auto& chunk : parsed->plan.chunks()) {
    CHECK(chunk.adopted == (chunk.received > 0));
    CHECK(chunk.checked == (chunk.received == 0));
  }
  CHECK_FALSE(engine::parse_checkpoint_v1(v1, kDigest, 999, 256));
  for (std::size_t length = 0; length < v1.size(); ++length) {
    CHECK_FALSE(engine::parse_checkpoint_v1(v1.substr(0, length), kDigest, 1000, 256));
  }
}

TEST_CASE("adopted ranges may come in any order, overlap and exceed the blob") {
  const auto plan = engine::adopted_plan(1000, 100, {{700, 2000}, {100, 250}, {200, 300}});
  CHECK(plan.received_bytes() == 500);
  CHECK(plan.first_missing() == 0);
}
