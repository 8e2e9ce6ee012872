#include "daemon/registry/mirrored_blob.h"

#include <algorithm>

namespace pullama::registry {
namespace {

// Less than the engine waits: what a mirror does not send has another place.
constexpr std::chrono::seconds kSilence{10};

// Counts what comes, and ends a mirror's silence. What blocks on our side (the rate limit) is none.
class Counter final : public BlobSink {
 public:
  Counter(BlobSink& into, const io::Clock& clock, bool may_be_silent)
      : into_(into), clock_(clock), may_be_silent_(may_be_silent), last_byte_(clock.now()) {}

  bool on_whole_body() override { return into_.on_whole_body(); }
  bool on_skipped(std::uint64_t bytes) override {
    const bool goes_on = into_.on_skipped(bytes);
    last_byte_ = clock_.now();
    return goes_on;
  }
  bool on_bytes(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (!into_.on_bytes(offset, bytes)) return false;  // not kept, so to be asked for again
    if (begin_ == end_) begin_ = offset;
    end_ = offset + bytes.size();
    last_byte_ = clock_.now();
    return true;
  }
  bool on_tick() override {
    if (!into_.on_tick()) return false;
    is_silent_ = !may_be_silent_ && clock_.now() - last_byte_ >= kSilence;
    return !is_silent_;
  }

  bool is_silent() const { return is_silent_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }

 private:
  BlobSink& into_;
  const io::Clock& clock_;
  const bool may_be_silent_;
  io::Clock::SteadyTime last_byte_;
  bool is_silent_ = false;
  std::uint64_t begin_ = 0, end_ = 0;
};

// No word about the place: somebody here ended it.
bool is_ours(const Fault& fault) {
  return fault.kind == Fault::Kind::kStopped || fault.kind == Fault::Kind::kSink ||
         fault.kind == Fault::Kind::kTimeLimit;
}

}  // namespace

MirroredBlob::MirroredBlob(const io::Clock& clock, std::vector<Place> places, std::shared_ptr<MirrorProgress> progress,
                           Refusal refusal)
    : clock_(clock), places_(std::move(places)), progress_(std::move(progress)), refusal_(std::move(refusal)) {}

Outcome<void> MirroredBlob::fetch(HttpConnection& connection, ByteRange range, BlobSink& sink, std::stop_token stop) {
  while (true) {
    const std::size_t place = place_for(range);
    const bool is_last = place + 1 == places_.size();
    Counter counter(sink, clock_, is_last);
    auto outcome = places_[place].source->fetch(connection, range, counter, stop);
    if (is_last) {
      if (!outcome) refusal_(outcome.error());
      return outcome;
    }
    delivered(place, counter.begin(), counter.end());
    if (outcome || (is_ours(outcome.error()) && !counter.is_silent())) return outcome;
    give_up(place);
    if (counter.is_silent()) {
      connection.close_idle();
      *places_[place].is_down = true;
    }
    // Gone on with by the receiver, which knows how far it came.
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
