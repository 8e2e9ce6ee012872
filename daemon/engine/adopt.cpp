#include "daemon/engine/adopt.h"

#include <fmt/format.h>

#include <string>

#include "daemon/engine/ollama_partial.h"
#include "daemon/engine/unsynced_checkpoint.h"
#include "daemon/io/atomic_write.h"
#include "daemon/io/os_error.h"
#include "daemon/store/keep.h"
#include "daemon/store/models_dir.h"
#include "daemon/store/set_aside.h"

namespace pullama::engine {
namespace {

enum class Origin { kNothing, kOurs, kOriginal, kBad };

struct Loaded {
  Origin origin = Origin::kNothing;
  std::optional<Checkpoint> checkpoint;
  std::string why;  // for kBad
};

// The checkpoint's text against itself and, where the partial exists, against that.
Loaded load_checkpoint(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes,
                       const std::optional<io::FileStat>& partial) {
  Loaded loaded;
  const auto text = fs.read_file(store::checkpoint_path(blob.digest), kMaxCheckpointBytes);
  if (!text) {
    if (io::is_missing(text.error())) return loaded;
    loaded.origin = Origin::kBad;
    loaded.why = text.error().message;
    return loaded;
  }
  auto ours = parse_checkpoint(*text, blob.digest, blob.size_bytes);
  if (ours) {
    loaded.origin = Origin::kBad;
    if (!partial) {
      loaded.why = "its partial is gone";
    } else if (partial->inode != ours->inode) {
      loaded.why = "the partial is another file than the one that it speaks of";
    } else if (partial->size_bytes != ours->length_bytes) {
      loaded.why = fmt::format("the partial has {} bytes instead of {}", partial->size_bytes, ours->length_bytes);
    } else {
      loaded.origin = Origin::kOurs;
      loaded.checkpoint = std::move(*ours);
    }
    return loaded;
  }
  auto original = parse_checkpoint_v1(*text, blob.digest, blob.size_bytes, chunk_bytes);
  if (original) {
    // Its partial is cut to the verified prefix while it rests, or has the full length: both may hold what is claimed.
    const bool long_enough = partial && partial->size_bytes >= original->plan.first_missing();
    loaded.origin = long_enough ? Origin::kOriginal : Origin::kBad;
    loaded.why = "its partial is shorter than what it claims";
    loaded.checkpoint = std::move(*original);
    return loaded;
  }
  loaded.origin = Origin::kBad;
  // The original's has no checksum: what else is wrong with it is the reason.
  loaded.why = (states_version_1(*text) ? original.error() : ours.error()).message;
  return loaded;
}

std::optional<io::FileStat> partial_stat(io::FileSystem& fs, const Digest& digest) {
  auto stat = fs.stat(store::partial_path(digest));
  if (!stat || stat->kind != io::FileStat::Kind::kFile) return std::nullopt;
  return *stat;
}

// Whether a name that is not ours leads to the partial's bytes too: writing to it would change somebody else's file.
bool has_foreign_name(io::FileSystem& fs, const Digest& digest, const io::FileStat& partial) {
  std::uint64_t ours = 1;
  // A crash may have left the second one beside the first.
  for (const std::string& name : {store::keep_path(digest), store::keep_path(digest) + ".tmp"}) {
    const auto kept = fs.stat(name);
    if (kept && kept->same_file(partial)) ++ours;
  }
  return partial.links > ours;
}

// Such a partial loses our names and keeps its others.
Status leave_foreign_file(io::FileSystem& fs, const Digest& digest) {
  const auto partial = partial_stat(fs, digest);
  if (!partial || !has_foreign_name(fs, digest, *partial)) return {};
  const auto kept = fs.stat(store::keep_path(digest));
  if (kept && kept->same_file(*partial)) {
    if (auto removed = fs.remove(store::keep_path(digest)); !removed) return removed;
  }
  return fs.remove(store::partial_path(digest));
}

bool may_adopt(io::FileSystem& fs, const BlobRef& blob) {
  const auto found = read_ollama_partial(fs, blob.digest, blob.size_bytes);
  if (!found || found->present.empty()) return false;
  const auto partial = partial_stat(fs, blob.digest);
  // Something that is no file stays in the way: opening it says so.
  return partial || !fs.stat(store::partial_path(blob.digest));
}

// An Ollama server's unfinished download becomes our partial, if nobody has it open. Returns its plan.
std::optional<ChunkPlan> adopt_ollama(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes) {
  const auto found = read_ollama_partial(fs, blob.digest, blob.size_bytes);
  if (!found || found->present.empty()) return std::nullopt;
  const std::string foreign = store::ollama_partial_path(blob.digest);
  const std::string ours = store::partial_path(blob.digest);
  auto plan = adopted_plan(blob.size_bytes, chunk_bytes, found->present);
  auto file = fs.open(foreign, io::OpenMode::kReadWrite);
  if (!file) return std::nullopt;
  const auto before = (*file)->stat();
  const auto free = (*file)->nobody_else_has_it_open();
  if (!before || (free && !*free)) return std::nullopt;
  const bool in_place = free && before->links == 1;
  if (!in_place && !fs.reflink(foreign, ours)) return std::nullopt;
  if (!in_place) {
    file = fs.open(ours, io::OpenMode::kReadWrite);
    if (!file) return std::nullopt;
  }
  if ((*file)->preallocate(blob.size_bytes).has_value() || (*file)->truncate(blob.size_bytes).has_value()) {
    const auto stat = (*file)->stat();
    if (!stat || stat->size_bytes != blob.size_bytes) return std::nullopt;
    if (!(*file)->sync_all()) return std::nullopt;
    // The claim first: after a crash between the two, the renamed file is still known for what it is.
    const auto text = format_checkpoint(blob.digest, stat->inode, blob.size_bytes, 0, std::nullopt, plan);
    if (!io::atomic_write(fs, store::checkpoint_path(blob.digest), text, 0600)) return std::nullopt;
    if (in_place && !fs.rename(foreign, ours)) return std::nullopt;
    if (!fs.sync_directory(store::kBlobsDir)) return std::nullopt;
    for (const unsigned part : found->part_numbers) {
      // What cannot be removed is Ollama's to tidy; without its data file it means nothing.
      if (!fs.remove(store::ollama_part_path(blob.digest, part))) continue;
    }
    return plan;
  }
  return std::nullopt;
}

Status discard_checkpoint(io::FileSystem& fs, const Digest& digest) {
  remove_unsynced(fs, digest);
  const std::string path = store::checkpoint_path(digest);
  auto removed = fs.remove(path);
  if (removed || io::is_missing(removed.error())) return {};
  const auto there = fs.stat(path);
  return there && there->kind == io::FileStat::Kind::kDirectory ? store::set_aside(fs, path) : removed;
}

// A partial of which nothing is known, in the way of one of which something is.
Status drop_stray(io::FileSystem& fs, const Digest& digest) {
  if (auto removed = fs.remove(store::partial_path(digest)); !removed && !io::is_missing(removed.error())) {
    return removed;
  }
  return store::Keep(fs).release(digest);
}

}  // namespace

Result<Start> find_start(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes, ProgressSink& sink,
                         const std::stop_token& stop) {
  if (PartialFile::held_by_another(fs, blob.digest)) {
    return fail(ErrorCode::kLocked, fs.native_path(store::partial_path(blob.digest)) + " is in use by another process");
  }
  store::Keep keep(fs);
  const std::string path = store::partial_path(blob.digest);
  if (auto restored = keep.restore(blob.digest, path); !restored) return fail(restored.error());

  if (auto left = leave_foreign_file(fs, blob.digest); !left) return fail(left.error());

  Loaded loaded = load_checkpoint(fs, blob, chunk_bytes, partial_stat(fs, blob.digest));
  if (loaded.origin == Origin::kBad) {
    sink.report(CheckpointDiscarded{blob, loaded.why});
    if (auto discarded = discard_checkpoint(fs, blob.digest); !discarded) return fail(discarded.error());
    loaded = {};
  }
  std::optional<ChunkPlan> from_ollama;
  if (loaded.origin == Origin::kNothing && may_adopt(fs, blob)) {
    if (auto dropped = drop_stray(fs, blob.digest); !dropped) return fail(dropped.error());
    from_ollama = adopt_ollama(fs, blob, chunk_bytes);
  }

  auto partial = PartialFile::open(fs, blob.digest);
  if (!partial) return fail(partial.error());
  if (loaded.origin == Origin::kOurs || (loaded.origin == Origin::kNothing && !from_ollama)) {
    const Checkpoint* synced = loaded.checkpoint ? &*loaded.checkpoint : nullptr;
    if (auto more = load_unsynced(fs, *partial, blob, synced, stop)) loaded = {Origin::kOurs, std::move(more), {}};
  }
  Start start{std::move(*partial), {}, std::nullopt, 0};
  if (loaded.origin == Origin::kOurs) {
    start.plan = std::move(loaded.checkpoint->plan);
    start.front = loaded.checkpoint->front;
    start.restarts = loaded.checkpoint->restarts;
  } else if (loaded.origin == Origin::kOriginal) {
    start.plan = std::move(loaded.checkpoint->plan);
    sink.report(BlobAdopted{blob, "checkpoint of the original pullama", start.plan.received_bytes()});
  } else if (from_ollama) {
    start.plan = std::move(*from_ollama);
    sink.report(BlobAdopted{blob, "unfinished download of Ollama", start.plan.received_bytes()});
  } else {
    start.plan = ChunkPlan::fresh(blob.size_bytes, chunk_bytes);
  }
  return start;
}

std::uint64_t present_bytes(io::FileSystem& fs, const BlobRef& blob, std::uint64_t chunk_bytes) {
  auto partial = partial_stat(fs, blob.digest);
  if (!partial) {
    // keep/ would bring it back.
    auto kept = fs.stat(store::keep_path(blob.digest));
    if (kept && kept->kind == io::FileStat::Kind::kFile) partial = *kept;
  }
  const Loaded loaded = load_checkpoint(fs, blob, chunk_bytes, partial);
  if (loaded.origin == Origin::kOurs || loaded.origin == Origin::kOriginal) {
    return loaded.checkpoint->plan.received_bytes();
  }
  const auto ollama = read_ollama_partial(fs, blob.digest, blob.size_bytes);
  return ollama ? adopted_plan(blob.size_bytes, chunk_bytes, ollama->present).received_bytes() : 0;
}

}  // namespace pullama::engine
