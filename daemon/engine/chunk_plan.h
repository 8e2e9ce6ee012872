#pragma once
// Which bytes of a blob are there, which are being fetched and which come next: a list of chunks without gaps from 0 to
// the blob's size, each received from its start on without holes. Requests are ranges of it ("claims"), handed out near
// the front first. Pure and single-threaded: Transfer guards it.
//
// Chunks come from the registry's chunksums (then each belongs to a group that has a digest) or are chunk_bytes long. A
// claim smaller than its chunk splits it; when the same connection goes on with the neighbour the two become one again.
// What a connection that goes away leaves keeps its running XXH3, so that another can go on with it.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/digest.h"
#include "daemon/io/xxh3.h"

namespace pullama::engine {

struct Claim {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // one past the last byte
  std::uint64_t id = 0;   // of what claim() handed out; whoever holds an older claim of the same bytes has lost them
  std::uint64_t bytes() const { return end - begin; }
};

class ChunkPlan {
 public:
  static constexpr int kNoGroup = -1;
  // The checkpoint stays under 256 KiB with this many chunks.
  static constexpr std::size_t kMaxChunks = 2000;

  struct Chunk {
    std::uint64_t start = 0;
    std::uint64_t end = 0;              // one past
    std::uint64_t received = 0;         // from start on
    std::optional<io::Xxh128> xxh3;     // of what was received; nullopt for adopted bytes until they were read
    bool checked = true;                // what lies on the disk agrees with xxh3 (or was written by this process)
    bool adopted = false;               // came from another program, unverified until the blob's digest is right
    bool doubtful = false;              // of a restored plan: the registry's digest of it was not compared yet
    std::uint64_t claim = 0;            // id of the claim under way, 0: none
    int group = kNoGroup;               // index into groups()
    std::unique_ptr<io::Xxh3> running;  // state after `received` bytes, where known

    bool claimed() const { return claim != 0; }
    bool complete() const { return start + received == end; }
    std::uint64_t next() const { return start + received; }
  };

  // A chunk that the registry gave a digest for.
  struct Group {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    Digest digest;
    bool verified = false;
    unsigned mismatches = 0;
  };

  ChunkPlan() = default;
  // chunk_bytes is raised until the count of chunks fits.
  static ChunkPlan fresh(std::uint64_t size_bytes, std::uint64_t chunk_bytes);
  // Precondition: groups cover 0 to size without gaps (registry::parse_chunksums checks it).
  // `chunk_bytes`: what verified neighbours are merged to where there are too many; 0: the whole blob.
  static ChunkPlan with_groups(std::uint64_t size_bytes, std::vector<Group> groups, std::uint64_t chunk_bytes = 0);
  // Precondition: chunks are contiguous from 0 to size. Parts of chunks become chunks of their own, so that what is
  // left of them can be claimed at once.
  // `listed`: the registry had digests for it; set_groups() brings them back.
  static ChunkPlan restored(std::uint64_t size_bytes, std::uint64_t chunk_bytes, std::vector<Chunk> chunks,
                            bool listed = false);
  // For a restored plan that nobody claims from yet: what is missing is cut along the groups, and a group whose chunks
  // are all complete and not doubtful counts as verified. Precondition as with_groups().
  void set_groups(std::vector<Group> groups);

  std::uint64_t size_bytes() const { return size_; }
  std::uint64_t chunk_bytes() const { return chunk_bytes_; }
  std::uint64_t received_bytes() const { return received_; }
  bool all_received() const { return received_ == size_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  const std::vector<Group>& groups() const { return groups_; }
  bool listed() const { return listed_; }
  // Neighbours of which nothing is there are one entry of a checkpoint where there are groups, which cut them again, or
  // too many chunks.
  bool sparse() const { return listed_ || chunks_.size() > kMaxChunks; }
  std::size_t entries() const;

  // The first bytes below `limit` that nobody has or fetches, at most `max_bytes`. `previous_end`: where the asking
  // connection's last claim ended.
  std::optional<Claim> claim(std::uint64_t limit, std::uint64_t max_bytes,
                             std::optional<std::uint64_t> previous_end = std::nullopt);
  // From the first missing byte to the end of the blob, whatever lies between: for a server without ranges.
  std::optional<Claim> claim_rest();
  // Cuts [at, claim_end) off a claim under way, to be claimed by others. Precondition: `at` lies in the claim, beyond
  // what was received.
  void split(std::uint64_t at, std::uint64_t claim_end);
  // The chunk's state for going on at `offset`; for a fresh chunk a fresh state. Precondition: offset == its next().
  io::Xxh3 take_running(std::uint64_t offset);
  // `bytes` were written at `offset` (== next() of the chunk there, not past its end). `state` is the chunk's XXH3
  // after them. Returns the group to verify if this made one complete.
  std::optional<std::size_t> commit(std::uint64_t offset, std::uint64_t bytes, const io::Xxh3& state);
  // Nobody fetches [begin, end) any more; `state` belongs to the chunk that is partly received, if any.
  void release(Claim claim, std::uint64_t at, std::optional<io::Xxh3> state);

  // Complete, and not verified: what a crash left between the two.
  std::vector<std::size_t> groups_to_verify() const;
  void group_verified(std::size_t group);
  // Throws the group's bytes away, to be fetched again.
  void group_mismatch(std::size_t group);
  // Goes on without chunksums: what is complete stays.
  void drop_groups();
  // After a restart: the bytes on disk have this XXH3, which agrees with the chunk's own where it has one.
  void mark_checked(std::uint64_t start, const io::Xxh128& found);
  // The chunk's bytes are not what was received: to be fetched again. Where the front has passed it, it must begin
  // anew.
  void discard(std::uint64_t start);
  // Forgets all adopted bytes; the lowest offset of them, nullopt if there were none.
  std::optional<std::uint64_t> discard_adopted();
  void discard_all();
  const Chunk* chunk_at(std::uint64_t offset) const;

  // How far the front may go: contiguous bytes from `front` on that are received, checked and, in groups, verified.
  std::uint64_t ready_end(std::uint64_t front) const;
  // The end of the chunk with a digest that holds `offset`, else offset: the window always reaches at least there.
  std::uint64_t group_end(std::uint64_t offset) const;
  bool all_checked() const;
  std::uint64_t first_missing() const;
  bool anything_unclaimed(std::uint64_t limit) const;

  // Neighbours that could be one chunk (complete, checked, within one cell of chunk_bytes, and in verified groups or in
  // none), as the range of the first such run; for the checkpoint writer, which computes the XXH3 of the whole.
  std::optional<Claim> mergeable(std::uint64_t below) const;
  void merge(Claim range, const io::Xxh128& xxh3);

 private:
  std::size_t index_of(std::uint64_t offset) const;
  void split_chunk(std::size_t index, std::uint64_t at);
  void uncomplete(Chunk& chunk);
  bool group_complete(std::size_t index) const;

  std::uint64_t size_ = 0;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t last_claim_ = 0;
  std::vector<Chunk> chunks_;
  std::vector<Group> groups_;
  bool listed_ = false;
  mutable std::size_t first_open_ =
      0;  // all chunks before it are complete or claimed (a hint that only moves back on change)
};

}  // namespace pullama::engine
