#include "daemon/engine/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "daemon/engine/state_json.h"
#include "daemon/io/xxh3.h"

namespace pullama::engine {
namespace {

using nlohmann::json;
using Bad = BadState;

// [start, end] inclusive on disk to one past; must begin at `at` and stay within the blob.
Claim range_of(const json& entry, std::uint64_t at, std::uint64_t size_bytes) {
  if (!entry.is_object()) throw Bad{"a chunk is no object"};
  const std::uint64_t start = number(entry, "start");
  const std::uint64_t end = number(entry, "end");
  if (start != at || end < start || end >= size_bytes)
    throw Bad{fmt::format("chunks are not contiguous at byte {}", at)};
  return {start, end + 1};
}

std::vector<ChunkPlan::Chunk> parse_chunks(const json& document, std::uint64_t size_bytes) {
  std::vector<ChunkPlan::Chunk> chunks;
  std::uint64_t at = 0;
  for (const json& entry : list_of(document, "chunks")) {
    const Claim range = range_of(entry, at, size_bytes);
    ChunkPlan::Chunk chunk;
    chunk.start = range.begin;
    chunk.end = range.end;
    chunk.received = number(entry, "received");
    if (chunk.received > range.bytes()) throw Bad{fmt::format("chunk at {} claims more than its length", at)};
    if (entry.contains("xxh3")) {
      chunk.xxh3 = io::Xxh128::from_hex(text_of(entry, "xxh3"));
      if (!chunk.xxh3) throw Bad{fmt::format("chunk at {} has a malformed xxh3", at)};
    }
    const bool adopted = entry.contains("adopted") && entry["adopted"] == true;
    if (chunk.received > 0 && !chunk.xxh3 && !adopted) throw Bad{fmt::format("chunk at {} has no xxh3", at)};
    chunk.adopted = adopted;
    chunk.doubtful = entry.contains("unverified") && entry["unverified"] == true;
    chunk.checked = chunk.received == 0;
    chunks.push_back(std::move(chunk));
    at = range.end;
  }
  if (at != size_bytes) throw Bad{"chunks do not cover the blob"};
  return chunks;
}

bool is_doubtful(const ChunkPlan& plan, const ChunkPlan::Chunk& chunk) {
  if (chunk.group == ChunkPlan::kNoGroup) return chunk.doubtful;
  return !plan.groups()[static_cast<std::size_t>(chunk.group)].verified;
}

// How far the bytes go from 0 without a hole.
std::uint64_t contiguous(const ChunkPlan& plan) { return plan.first_missing(); }

}  // namespace

std::string format_checkpoint(const Digest& digest, std::uint64_t inode, std::uint64_t length_bytes, unsigned restarts,
                              const std::optional<io::Sha256::Midstate>& front, const ChunkPlan& plan) {
  std::string out;
  out.reserve(512 + plan.entries() * 128);
  auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"version":2,"digest":"{}","size":{},"inode":{},"length":{},"chunk_bytes":{},"restarts":{})",
                 digest.str(), plan.size_bytes(), inode, length_bytes, plan.chunk_bytes(), restarts);
  out += front_member(front);
  out += ",\"chunks\":[";
  bool first = true;
  for (std::size_t i = 0; i < plan.chunks().size(); ++i) {
    const ChunkPlan::Chunk& chunk = plan.chunks()[i];
    if (!std::exchange(first, false)) out += ',';
    if (chunk.received == 0) {
      while (plan.sparse() && i + 1 < plan.chunks().size() && plan.chunks()[i + 1].received == 0) ++i;
    }
    fmt::format_to(to, R"({{"start":{},"end":{},"received":{})", chunk.start, plan.chunks()[i].end - 1, chunk.received);
    if (chunk.received > 0 && chunk.xxh3) fmt::format_to(to, R"(,"xxh3":"{}")", chunk.xxh3->hex());
    if (chunk.adopted) out += ",\"adopted\":true";
    if (chunk.received > 0 && is_doubtful(plan, chunk)) out += ",\"unverified\":true";
    out += '}';
  }
  out += ']';
  if (plan.listed()) out += ",\"chunksums\":true";
  return sealed(std::move(out));
}

Result<Checkpoint> parse_checkpoint(std::string_view text, const Digest& digest, std::uint64_t size_bytes) {
  try {
    check_seal(text);
    const json document = parse_document(text, digest, size_bytes, 2);
    Checkpoint result{digest, size_bytes, number(document, "inode"), number(document, "length"), 0, std::nullopt, {}};
    const std::uint64_t restarts = number(document, "restarts");
    if (restarts > 1000) throw Bad{"\"restarts\" is out of range"};
    result.restarts = static_cast<unsigned>(restarts);
    auto chunks = parse_chunks(document, size_bytes);
    const bool listed = document.contains("chunksums") && document["chunksums"] != false;
    const std::uint64_t chunk_bytes = number(document, "chunk_bytes");
    if (chunk_bytes == 0) throw Bad{"\"chunk_bytes\" is 0"};
    result.plan = ChunkPlan::restored(size_bytes, chunk_bytes, std::move(chunks), listed);
    result.front = parse_front(document, contiguous(result.plan));
    return result;
  } catch (const Bad& bad) {
    return fail(ErrorCode::kCorrupt, bad.what);
  } catch (const json::exception&) {
    return fail(ErrorCode::kCorrupt, "it is malformed JSON");
  }
}

bool states_version_1(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return false;
  const auto version = document.find("version");
  return version != document.end() && *version == 1;
}

Result<Checkpoint> parse_checkpoint_v1(std::string_view text, const Digest& digest, std::uint64_t size_bytes,
                                       std::uint64_t chunk_bytes) {
  try {
    const json document = parse_document(text, digest, size_bytes, 1);
    std::vector<Claim> present;
    std::uint64_t at = 0;
    for (const json& entry : list_of(document, "chunks")) {
      const Claim range = range_of(entry, at, size_bytes);
      const json& verified = member(entry, "verified");
      if (!verified.is_boolean()) throw Bad{"\"verified\" is no boolean"};
      if (!verified.get<bool>()) break;
      present.push_back(range);
      at = range.end;
    }
    return Checkpoint{
        digest, size_bytes, 0, 0, 0, std::nullopt, adopted_plan(size_bytes, chunk_bytes, std::move(present))};
  } catch (const Bad& bad) {
    return fail(ErrorCode::kCorrupt, bad.what);
  } catch (const json::exception&) {
    return fail(ErrorCode::kCorrupt, "it is malformed JSON");
  }
}

ChunkPlan adopted_plan(std::uint64_t size_bytes, std::uint64_t chunk_bytes, std::vector<Claim> present) {
  std::sort(present.begin(), present.end(), [](const Claim& a, const Claim& b) { return a.begin < b.begin; });
  std::vector<ChunkPlan::Chunk> chunks;
  std::uint64_t at = 0;
  const auto add = [&](std::uint64_t end, bool there) {
    // On the grid of chunk_bytes, so that a wrong one costs no more than that.
    while (at < end) {
      ChunkPlan::Chunk chunk;
      chunk.start = at;
      chunk.end = std::min(end, (at / chunk_bytes + 1) * chunk_bytes);
      chunk.received = there ? chunk.end - chunk.start : 0;
      chunk.adopted = there;
      chunk.checked = !there;
      at = chunk.end;
      chunks.push_back(std::move(chunk));
    }
  };
  while (size_bytes / std::max<std::uint64_t>(chunk_bytes, 1) >= ChunkPlan::kMaxChunks) chunk_bytes *= 2;
  chunk_bytes = std::max<std::uint64_t>(chunk_bytes, 1);
  for (const Claim& range : present) {
    const std::uint64_t begin = std::clamp(range.begin, at, size_bytes);
    const std::uint64_t end = std::clamp(range.end, begin, size_bytes);
    add(begin, false);
    add(end, true);
  }
  add(size_bytes, false);
  return ChunkPlan::restored(size_bytes, chunk_bytes, std::move(chunks));
}

}  // namespace pullama::engine
