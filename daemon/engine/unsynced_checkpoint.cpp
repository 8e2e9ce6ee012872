#include "daemon/engine/unsynced_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "daemon/engine/state_json.h"
#include "daemon/io/os_error.h"
#include "daemon/io/xxh3.h"
#include "daemon/store/models_dir.h"

namespace pullama::engine {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::uint64_t kMaxHeadBytes = 1024;
constexpr std::string_view kSealMember = ",\"xxh3\":\"";
// More than this between two checkpoints is a disk that is slower than the line; reading it would hold up the first
// request for longer than it saves.
constexpr std::uint64_t kMostRead = 1ULL << 30;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// The line before the checkpoint, without its end.
std::string sealed_head(std::string_view words, std::string_view checkpoint) {
  io::Xxh3 hash;
  hash.update(bytes_of(words));
  hash.update(bytes_of(checkpoint));
  return fmt::format("{}{}{}\"}}", words, kSealMember, hash.digest().hex());
}

std::optional<Unsynced> parse_place(std::string_view place, const Digest& digest, std::uint64_t size_bytes) {
  const auto end = place.substr(0, kMaxHeadBytes).find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const json head = json::parse(place.substr(0, end), nullptr, /*allow_exceptions=*/false);
  if (!head.is_object()) return std::nullopt;
  try {
    if (number(head, "version") != 1) return std::nullopt;
    const std::uint64_t length = number(head, "bytes");
    const std::string_view rest = place.substr(end + 1);
    if (length > rest.size()) return std::nullopt;
    const std::string_view text = rest.substr(0, length);
    const std::string_view line = place.substr(0, end);
    if (line != sealed_head(line.substr(0, line.rfind(kSealMember)), text)) return std::nullopt;
    auto checkpoint = parse_checkpoint(text, digest, size_bytes);
    if (!checkpoint) return std::nullopt;
    return Unsynced{number(head, "sequence"), std::move(*checkpoint)};
  } catch (const BadState&) {
    return std::nullopt;
  }
}

std::optional<Unsynced> read_newest(io::FileSystem& fs, const BlobRef& blob) {
  const auto file = fs.read_file(store::unsynced_path(blob.digest), 2 * kUnsyncedPlaceBytes);
  return file ? parse_unsynced(*file, blob.digest, blob.size_bytes) : std::nullopt;
}

// Whether the checkpoint says the same of these bytes.
bool is_synced(const Checkpoint* synced, const ChunkPlan::Chunk& chunk) {
  if (synced == nullptr) return false;
  const ChunkPlan::Chunk* there = synced->plan.chunk_at(chunk.start);
  return there != nullptr && there->start == chunk.start && there->received == chunk.received &&
         there->xxh3 == chunk.xxh3;
}

}  // namespace

std::string format_unsynced(std::uint64_t sequence, std::string_view checkpoint) {
  const auto words = fmt::format(R"({{"version":1,"sequence":{},"bytes":{})", sequence, checkpoint.size());
  return fmt::format("{}\n{}", sealed_head(words, checkpoint), checkpoint);
}

std::optional<Unsynced> parse_unsynced(std::string_view file, const Digest& digest, std::uint64_t size_bytes) {
  std::optional<Unsynced> newest;
  for (const std::uint64_t at : {std::uint64_t{0}, kUnsyncedPlaceBytes}) {
    if (at >= file.size()) break;
    auto found = parse_place(file.substr(at, kUnsyncedPlaceBytes), digest, size_bytes);
    if (found && (!newest || found->sequence > newest->sequence)) newest = std::move(found);
  }
  return newest;
}

std::optional<Checkpoint> load_unsynced(io::FileSystem& fs, PartialFile& partial, const BlobRef& blob,
                                        const Checkpoint* synced, const std::stop_token& stop) {
  auto found = read_newest(fs, blob);
  if (!found) return std::nullopt;
  Checkpoint& record = found->checkpoint;
  const auto& stat = partial.stat_at_open();
  if (record.inode != stat.inode || record.length_bytes != stat.size_bytes) return std::nullopt;
  if (synced != nullptr && record.plan.received_bytes() <= synced->plan.received_bytes()) return std::nullopt;

  std::vector<std::pair<std::uint64_t, io::Xxh128>> compared;
  std::vector<std::byte> block(1 << 20);
  std::uint64_t read = 0;
  for (const ChunkPlan::Chunk& chunk : record.plan.chunks()) {
    if (chunk.received == 0 || is_synced(synced, chunk)) continue;
    read += chunk.received;
    if (read > kMostRead) return std::nullopt;
    io::Xxh3 hash;
    for (std::uint64_t at = chunk.start; at < chunk.next();) {
      if (stop.stop_requested()) return std::nullopt;
      const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), chunk.next() - at));
      const auto got = partial.file().read_at(at, std::span(block).first(length));
      if (!got || *got != length) return std::nullopt;
      hash.update(std::span<const std::byte>(block).first(length));
      at += length;
    }
    if (!chunk.xxh3 || hash.digest() != *chunk.xxh3) return std::nullopt;
    compared.emplace_back(chunk.start, *chunk.xxh3);
  }
  for (const auto& [start, xxh3] : compared) record.plan.mark_checked(start, xxh3);
  return std::optional(std::move(found->checkpoint));
}

void remove_unsynced(io::FileSystem& fs, const Digest& digest) {
  static_cast<void>(fs.remove(store::unsynced_path(digest)).has_value());
}

UnsyncedCheckpoint::UnsyncedCheckpoint(io::FileSystem& fs, const PartialFile& partial, TransferState& state,
                                       BlobRef blob, unsigned restarts, milliseconds interval)
    : fs_(fs),
      state_(state),
      blob_(blob),
      head_{blob.digest, partial.stat_at_open().inode, blob.size_bytes, restarts},
      interval_(interval) {}

void UnsyncedCheckpoint::run(const std::stop_token& stop) {
  // After what an earlier run has left, and over the older place of it.
  if (const auto left = read_newest(fs_, blob_)) sequence_ = left->sequence;
  const auto shortest = std::max(interval_ / 50, milliseconds(1));
  const auto longest = std::max(interval_, shortest);
  auto pause = shortest;
  std::uint64_t change = 0;
  while (!state_.wait_for_end(pause, stop)) {
    const auto begin = std::chrono::steady_clock::now();
    const auto snapshot = state_.snapshot(head_, change);
    if (!snapshot) continue;
    change = snapshot->change;
    // A full disk or a folder that went is the checkpoint's to say; here it is tried again.
    const bool written = write(snapshot->text).has_value();
    const auto cost = std::chrono::steady_clock::now() - begin;
    pause = written ? std::clamp(std::chrono::duration_cast<milliseconds>(50 * cost), shortest, longest) : longest;
  }
}

Status UnsyncedCheckpoint::write(std::string_view checkpoint) {
  const std::string text = format_unsynced(sequence_ + 1, checkpoint);
  if (text.size() > kUnsyncedPlaceBytes) return fail(ErrorCode::kInternal, "the record is too long");
  // After a write that failed the same place is tried again: the other one is whole.
  const std::uint64_t place = (sequence_ + 1) % 2 * kUnsyncedPlaceBytes;
  auto written = is_at_its_path() ? file_->write_at(place, bytes_of(text)) : begin_file(place, text);
  if (written) ++sequence_;
  return written;
}

bool UnsyncedCheckpoint::is_at_its_path() const {
  if (!file_) return false;
  const auto there = fs_.stat(store::unsynced_path(blob_.digest));
  const auto ours = file_->stat();
  return there && ours && there->same_file(*ours);
}

// Whatever lies at the path may be somebody else's file under another name: only what we made is written to.
Status UnsyncedCheckpoint::begin_file(std::uint64_t place, std::string_view text) {
  file_.reset();
  const std::string path = store::unsynced_path(blob_.digest);
  const std::string temporary = path + store::kTemporarySuffix;
  if (auto removed = fs_.remove(temporary); !removed && !io::is_missing(removed.error())) return removed;
  auto file = fs_.open(temporary, io::OpenMode::kCreateNew, 0600);
  if (!file) return fail(file.error());
  auto made = (*file)->write_at(place, bytes_of(text));
  if (made) made = fs_.rename(temporary, path);
  if (made) {
    file_ = std::move(*file);
  } else {
    static_cast<void>(fs_.remove(temporary).has_value());  // else the next try does, or the next start of the daemon
  }
  return made;
}

}  // namespace pullama::engine
