#include "daemon/registry/mirrored_blob.h"

#include <algorithm>

namespace pullama::registry {
namespace {

class Counter final : public BlobSink {
 public:
  explicit Counter(BlobSink& into) : into_(into) {}

  bool on_whole_body() override { return into_.on_whole_body(); }
  bool on_skipped(std::uint64_t bytes) override { return into_.on_skipped(bytes); }
  bool on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (!into_.on_bytes(offset, bytes)) return false;  // not kept, so to be asked for again
    if (begin_ == end_) begin_ = offset;
    end_ = offset + bytes.size();
    return true;
  }
  bool on_tick() override { return into_.on_tick(); }

  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

 private:
  BlobSink& into_;
  std::uint64_t begin_ = 0, end_ = 0;
};

// No word about the place: somebody here ended it.
bool is_ours(const Fault& fault) {
  return fault.kind == Fault::Kind::kStopped || fault.kind == Fault::Kind::kSink ||
         fault.kind == Fault::Kind::kTimeLimit;
}

}  // namespace

MirroredBlob::MirroredBlob(std::vector<Place> places, std::shared_ptr<MirrorProgress> progress)
    : places_(std::move(places)), progress_(std::move(progress)) {}

Outcome<void> MirroredBlob::fetch(HttpConnection& connection, ByteRange range, BlobSink& sink, std::stop_token stop) {
  while (true) {
    const std::size_t place = place_for(range);
    Counter counter(sink);
    auto outcome = places_[place].source->fetch(connection, range, counter, stop);
    if (place + 1 == places_.size()) return outcome;
    delivered(place, counter.begin(), counter.end());
    if (outcome || is_ours(outcome.error())) return outcome;
    give_up(place);
    if (counter.end() > counter.begin()) return outcome;
    if (outcome.error().http_status == 0) *places_[place].is_down = true;
  }
}

std::size_t MirroredBlob::place_for(ByteRange range) {
  auto& [mutex, current, delivered] = *progress_;
  const std::lock_guard lock(mutex);
  while (current + 1 < places_.size()) {
    const auto after = delivered.upper_bound(range.last);
    const bool is_known = after != delivered.begin() && std::prev(after)->second > range.first;
    const bool is_down = places_[current].is_down != nullptr && *places_[current].is_down;
    if (!is_known && !is_down) break;
    ++current;
    delivered.clear();
  }
  return current;
}

void MirroredBlob::delivered(std::size_t place, std::uint64_t begin, std::uint64_t end) {
  if (begin == end) return;
  const std::lock_guard lock(progress_->mutex);
  if (progress_->current != place) return;
  auto& all = progress_->delivered;
  auto at = all.upper_bound(end);
  while (at != all.begin() && std::prev(at)->second >= begin) {
    --at;
    begin = std::min(begin, at->first);
    end = std::max(end, at->second);
    at = all.erase(at);
  }
  all[begin] = end;
}

void MirroredBlob::give_up(std::size_t place) {
  const std::lock_guard lock(progress_->mutex);
  if (progress_->current != place) return;
  ++progress_->current;
  progress_->delivered.clear();
}

BlobSource& MirroredBlob::current_source() const {
  const std::lock_guard lock(progress_->mutex);
  return *places_[progress_->current].source;
}

bool MirroredBlob::ranges_supported() const { return current_source().ranges_supported(); }

std::string MirroredBlob::host() const { return current_source().host(); }

}  // namespace pullama::registry
