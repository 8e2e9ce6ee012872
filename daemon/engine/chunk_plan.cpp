#include "daemon/engine/chunk_plan.h"

#include <algorithm>
#include <utility>

namespace pullama::engine {

namespace {

std::uint64_t cell_bytes(std::uint64_t size_bytes, std::uint64_t chunk_bytes) {
  chunk_bytes = std::max<std::uint64_t>(chunk_bytes, 1);
  while (size_bytes / chunk_bytes >= ChunkPlan::kMaxChunks) chunk_bytes *= 2;
  return chunk_bytes;
}

}  // namespace

ChunkPlan ChunkPlan::fresh(std::uint64_t size_bytes, std::uint64_t chunk_bytes) {
  ChunkPlan plan;
  plan.size_ = size_bytes;
  plan.chunk_bytes_ = cell_bytes(size_bytes, chunk_bytes);
  for (std::uint64_t start = 0; start < size_bytes;) {
    const std::uint64_t length = std::min(plan.chunk_bytes_, size_bytes - start);
    Chunk chunk;
    chunk.start = start;
    chunk.end = start + length;
    plan.chunks_.push_back(std::move(chunk));
    start += length;
  }
  return plan;
}

ChunkPlan ChunkPlan::with_groups(std::uint64_t size_bytes, std::vector<Group> groups, std::uint64_t chunk_bytes) {
  ChunkPlan plan;
  plan.size_ = size_bytes;
  plan.chunk_bytes_ = cell_bytes(size_bytes, chunk_bytes == 0 ? size_bytes : chunk_bytes);
  plan.listed_ = true;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Chunk chunk;
    chunk.start = groups[i].start;
    chunk.end = groups[i].end;
    chunk.group = static_cast<int>(i);
    plan.chunks_.push_back(std::move(chunk));
  }
  plan.groups_ = std::move(groups);
  return plan;
}

ChunkPlan ChunkPlan::restored(std::uint64_t size_bytes, std::uint64_t chunk_bytes, std::vector<Chunk> chunks,
                              bool listed) {
  ChunkPlan plan;
  plan.size_ = size_bytes;
  plan.chunk_bytes_ = std::max<std::uint64_t>(chunk_bytes, 1);
  plan.listed_ = listed;
  for (Chunk& chunk : chunks) {
    plan.received_ += chunk.received;
    if (chunk.received == 0 || chunk.complete()) {
      plan.chunks_.push_back(std::move(chunk));
      continue;
    }
    Chunk rest;
    rest.start = chunk.next();
    rest.end = chunk.end;
    rest.group = chunk.group;
    chunk.end = rest.start;
    plan.chunks_.push_back(std::move(chunk));
    plan.chunks_.push_back(std::move(rest));
  }
  return plan;
}

void ChunkPlan::set_groups(std::vector<Group> groups) {
  groups_ = std::move(groups);
  listed_ = true;
  std::vector<Chunk> chunks;
  std::size_t group = 0;
  for (Chunk& chunk : chunks_) {
    while (groups_[group].end <= chunk.start) ++group;
    if (chunk.received > 0) {
      // One that was merged of several groups has been verified with them.
      if (chunk.end <= groups_[group].end) chunk.group = static_cast<int>(group);
      chunks.push_back(std::move(chunk));
      continue;
    }
    for (std::uint64_t at = chunk.start; at < chunk.end; at = chunks.back().end) {
      while (groups_[group].end <= at) ++group;
      Chunk piece;
      piece.start = at;
      piece.end = std::min(chunk.end, groups_[group].end);
      piece.group = static_cast<int>(group);
      chunks.push_back(std::move(piece));
    }
  }
  chunks_ = std::move(chunks);
  first_open_ = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    groups_[i].verified = group_complete(i);
    for (std::size_t at = index_of(groups_[i].start); at < chunks_.size() && chunks_[at].start < groups_[i].end; ++at) {
      if (chunks_[at].doubtful) groups_[i].verified = false;
    }
  }
  for (Chunk& chunk : chunks_) chunk.doubtful = false;
}

std::size_t ChunkPlan::entries() const {
  if (!sparse()) return chunks_.size();
  std::size_t count = 0;
  bool empty = false;
  for (const Chunk& chunk : chunks_) {
    if (chunk.received > 0 || !empty) ++count;
    empty = chunk.received == 0;
  }
  return count;
}

std::size_t ChunkPlan::index_of(std::uint64_t offset) const {
  const auto after = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                                      [](std::uint64_t value, const Chunk& chunk) { return value < chunk.start; });
  return static_cast<std::size_t>(after - chunks_.begin()) - 1;
}

const ChunkPlan::Chunk* ChunkPlan::chunk_at(std::uint64_t offset) const {
  return offset < size_ ? &chunks_[index_of(offset)] : nullptr;
}

void ChunkPlan::split_chunk(std::size_t index, std::uint64_t at) {
  Chunk rest;
  rest.start = at;
  rest.end = chunks_[index].end;
  rest.group = chunks_[index].group;
  chunks_[index].end = at;
  chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(index) + 1, std::move(rest));
}

std::optional<Claim> ChunkPlan::claim(std::uint64_t limit, std::uint64_t max_bytes,
                                      std::optional<std::uint64_t> previous_end) {
  while (first_open_ < chunks_.size() && (chunks_[first_open_].complete() || chunks_[first_open_].claimed()))
    ++first_open_;
  if (first_open_ == chunks_.size()) return std::nullopt;
  std::size_t index = first_open_;
  if (chunks_[index].next() >= limit) return std::nullopt;
  if (chunks_[index].received > 0 && !chunks_[index].running) {
    split_chunk(index, chunks_[index].next());
    first_open_ = ++index;
  }

  if (index > 0 && previous_end && *previous_end == chunks_[index].start && chunks_[index].received == 0) {
    Chunk& before = chunks_[index - 1];
    const bool one_cell = before.start / chunk_bytes_ == (chunks_[index].end - 1) / chunk_bytes_;
    if (before.complete() && before.running && !before.claimed() && before.group == chunks_[index].group && one_cell &&
        (before.group == kNoGroup || !groups_[static_cast<std::size_t>(before.group)].verified)) {
      before.end = chunks_[index].end;
      chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(index));
      first_open_ = --index;
    }
  }

  Claim result{chunks_[index].next(), chunks_[index].next(), ++last_claim_};
  while (index < chunks_.size() && result.bytes() < max_bytes) {
    const Chunk& chunk = chunks_[index];
    if (chunk.complete() || chunk.claimed() || chunk.next() != result.end) break;
    const std::uint64_t room = max_bytes - result.bytes();
    if (chunk.end - chunk.next() > room) split_chunk(index, chunk.next() + room);
    chunks_[index].claim = result.id;
    result.end = chunks_[index].end;
    ++index;
  }
  return result;
}

std::optional<Claim> ChunkPlan::claim_rest() {
  const std::uint64_t begin = first_missing();
  if (begin == size_) return std::nullopt;
  ++last_claim_;
  for (Chunk& chunk : chunks_) {
    if (!chunk.complete()) chunk.claim = last_claim_;
  }
  return Claim{begin, size_, last_claim_};
}

void ChunkPlan::split(std::uint64_t at, std::uint64_t claim_end) {
  std::size_t index = index_of(at);
  if (chunks_[index].start != at) split_chunk(index++, at);
  for (std::size_t i = index; i < chunks_.size() && chunks_[i].start < claim_end; ++i) chunks_[i].claim = 0;
  first_open_ = std::min(first_open_, index);
}

io::Xxh3 ChunkPlan::take_running(std::uint64_t offset) {
  Chunk& chunk = chunks_[index_of(offset)];
  if (!chunk.running) return io::Xxh3();
  const auto running = std::exchange(chunk.running, nullptr);
  return std::move(*running);
}

std::optional<std::size_t> ChunkPlan::commit(std::uint64_t offset, std::uint64_t bytes, const io::Xxh3& state) {
  Chunk& chunk = chunks_[index_of(offset)];
  chunk.received += bytes;
  received_ += bytes;
  chunk.xxh3 = state.digest();
  if (!chunk.complete()) return std::nullopt;
  chunk.claim = 0;
  chunk.running = std::make_unique<io::Xxh3>(state);
  if (chunk.group == kNoGroup) return std::nullopt;
  const auto index = static_cast<std::size_t>(chunk.group);
  return group_complete(index) ? std::optional(index) : std::nullopt;
}

bool ChunkPlan::group_complete(std::size_t index) const {
  const Group& group = groups_[index];
  for (std::size_t i = index_of(group.start); i < chunks_.size() && chunks_[i].start < group.end; ++i) {
    if (!chunks_[i].complete()) return false;
  }
  return true;
}

std::vector<std::size_t> ChunkPlan::groups_to_verify() const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (!groups_[i].verified && group_complete(i)) found.push_back(i);
  }
  return found;
}

void ChunkPlan::release(Claim claim, std::uint64_t at, std::optional<io::Xxh3> state) {
  if (claim.begin >= claim.end) return;
  for (std::size_t i = index_of(claim.begin); i < chunks_.size() && chunks_[i].start < claim.end; ++i) {
    Chunk& chunk = chunks_[i];
    if (chunk.claim != claim.id) continue;
    chunk.claim = 0;
    first_open_ = std::min(first_open_, i);
    if (state && chunk.received > 0 && chunk.next() == at) {
      chunk.running = std::make_unique<io::Xxh3>(std::move(*state));
      state.reset();
    }
  }
}

void ChunkPlan::group_verified(std::size_t group) { groups_[group].verified = true; }

void ChunkPlan::uncomplete(Chunk& chunk) {
  received_ -= chunk.received;
  chunk.received = 0;
  chunk.xxh3.reset();
  chunk.running.reset();
  chunk.checked = true;
  chunk.adopted = false;
  chunk.doubtful = false;
  chunk.claim = 0;
}

void ChunkPlan::group_mismatch(std::size_t group) {
  ++groups_[group].mismatches;
  groups_[group].verified = false;
  for (std::size_t i = index_of(groups_[group].start); i < chunks_.size() && chunks_[i].start < groups_[group].end;
       ++i) {
    uncomplete(chunks_[i]);
    first_open_ = std::min(first_open_, i);
  }
}

void ChunkPlan::drop_groups() {
  for (Chunk& chunk : chunks_) chunk.group = kNoGroup;
  groups_.clear();
  listed_ = false;
}

void ChunkPlan::mark_checked(std::uint64_t start, const io::Xxh128& found) {
  Chunk& chunk = chunks_[index_of(start)];
  chunk.checked = true;
  chunk.xxh3 = found;
}

void ChunkPlan::discard(std::uint64_t start) {
  const std::size_t index = index_of(start);
  Chunk& chunk = chunks_[index];
  uncomplete(chunk);
  first_open_ = std::min(first_open_, index);
  if (chunk.group != kNoGroup) groups_[static_cast<std::size_t>(chunk.group)].verified = false;
}

std::optional<std::uint64_t> ChunkPlan::discard_adopted() {
  std::optional<std::uint64_t> lowest;
  for (Chunk& chunk : chunks_) {
    if (!chunk.adopted) continue;
    if (!lowest) lowest = chunk.start;
    uncomplete(chunk);
  }
  first_open_ = 0;
  return lowest;
}

void ChunkPlan::discard_all() {
  for (Chunk& chunk : chunks_) uncomplete(chunk);
  for (Group& group : groups_) group.verified = false;
  first_open_ = 0;
}

std::uint64_t ChunkPlan::ready_end(std::uint64_t front) const {
  std::uint64_t at = front;
  for (std::size_t i = at < size_ ? index_of(at) : chunks_.size(); i < chunks_.size(); ++i) {
    const Chunk& chunk = chunks_[i];
    if (!chunk.checked) break;
    if (chunk.group != kNoGroup && !groups_[static_cast<std::size_t>(chunk.group)].verified) break;
    at = std::max(at, chunk.next());
    if (!chunk.complete()) break;
  }
  return at;
}

std::uint64_t ChunkPlan::group_end(std::uint64_t offset) const {
  const Chunk* chunk = chunk_at(offset);
  if (chunk == nullptr || chunk->group == kNoGroup) return offset;
  return groups_[static_cast<std::size_t>(chunk->group)].end;
}

bool ChunkPlan::all_checked() const {
  return std::all_of(chunks_.begin(), chunks_.end(), [](const Chunk& chunk) { return chunk.checked; });
}

std::uint64_t ChunkPlan::first_missing() const {
  for (const Chunk& chunk : chunks_) {
    if (!chunk.complete()) return chunk.next();
  }
  return size_;
}

bool ChunkPlan::anything_unclaimed(std::uint64_t limit) const {
  for (std::size_t i = first_open_; i < chunks_.size() && chunks_[i].start < limit; ++i) {
    if (!chunks_[i].complete() && !chunks_[i].claimed() && chunks_[i].next() < limit) return true;
  }
  return false;
}

std::optional<Claim> ChunkPlan::mergeable(std::uint64_t below) const {
  for (std::size_t i = 0; i + 1 < chunks_.size(); ++i) {
    const auto fits = [&](const Chunk& chunk) {
      if (!chunk.complete() || !chunk.checked || chunk.adopted || !chunk.xxh3) return false;
      if (chunk.start / chunk_bytes_ != chunks_[i].start / chunk_bytes_) return false;
      return chunk.group == kNoGroup ? chunk.end <= below : groups_[static_cast<std::size_t>(chunk.group)].verified;
    };
    std::size_t last = i;
    while (last < chunks_.size() && fits(chunks_[last])) ++last;
    if (last > i + 1) return Claim{chunks_[i].start, chunks_[last - 1].end};
  }
  return std::nullopt;
}

void ChunkPlan::merge(Claim range, const io::Xxh128& xxh3) {
  const std::size_t first = index_of(range.begin);
  std::size_t last = first;
  while (last + 1 < chunks_.size() && chunks_[last + 1].end <= range.end) ++last;
  if (chunks_[last].group != chunks_[first].group) chunks_[first].group = kNoGroup;
  chunks_[first].end = range.end;
  chunks_[first].received = range.bytes();
  chunks_[first].xxh3 = xxh3;
  chunks_[first].running.reset();
  chunks_.erase(chunks_.begin() + static_cast<std::ptrdiff_t>(first) + 1,
                chunks_.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  first_open_ = 0;
}

}  // namespace pullama::engine
