#include "daemon/engine/upload_body.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace pullama::engine {
namespace {

constexpr std::size_t kHashBlockBytes = 1 << 20;

Error ended_early(const Digest& digest) {
  return {ErrorCode::kCorrupt, "the file of blob " + digest.str() + " became shorter while it was pushed",
          "pull the model again", 0};
}

}  // namespace

std::uint64_t UploadPace::rate() const {
  const auto all = rate_limit.rate(), own = job_rate_limit.rate();
  return all == 0 || own == 0 ? std::max(all, own) : std::min(all, own);
}

void SentHash::restore(const std::optional<io::Sha256::Midstate>& front) {
  hash_ = front ? io::Sha256(*front) : io::Sha256();
}

Status SentHash::go_to(std::uint64_t offset, const std::stop_token& stop) {
  if (hash_.length_bytes() > offset) hash_ = io::Sha256();
  if (hash_.length_bytes() == offset) return {};
  std::vector<std::byte> block(kHashBlockBytes);
  while (hash_.length_bytes() < offset) {
    if (stop.stop_requested()) return fail(ErrorCode::kCancelled, "stopped while hashing blob " + digest_.str());
    const auto at = hash_.length_bytes();
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(block.size(), offset - at));
    const auto got = file_.read_at(at, std::span(block).first(length));
    if (!got) return fail(got.error());
    if (*got != length) return fail(ended_early(digest_));
    hash_.update(std::span<const std::byte>(block).first(length));
  }
  return {};
}

UploadBody::UploadBody(io::File& file, std::uint64_t offset, std::uint64_t length, const UploadPace& pace, bool paid,
                       BlobGauge& gauge, Hashes hashes, std::stop_token stop)
    : file_(file),
      offset_(offset),
      length_(length),
      pace_(pace),
      paid_(paid),
      gauge_(gauge),
      hashes_(hashes),
      stop_(std::move(stop)),
      before_(hashes.sent == nullptr ? std::nullopt : std::optional<io::Sha256>(hashes.sent->hash())) {}

std::size_t UploadBody::read(std::span<std::byte> into) {
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), length_ - read_));
  if (length == 0) return 0;
  if (!paid_ && !pace_.take(length, stop_)) return kFailed;
  const auto piece = into.first(length);
  const auto got = file_.read_at(offset_ + read_, piece);
  if (!got || *got != length) {
    problem_ = got ? Error{ErrorCode::kCorrupt, "the file of a blob became shorter while it was pushed",
                           "pull the model again", 0}
                   : got.error();
    return kFailed;
  }
  if (hashes_.md5 != nullptr) hashes_.md5->update(piece);
  if (hashes_.sent != nullptr) hashes_.sent->hash().update(piece);
  read_ += length;
  gauge_.bytes_done += length;
  gauge_.travelled += length;
  return length;
}

void UploadBody::take_back() {
  gauge_.bytes_done -= std::exchange(read_, 0);
  if (hashes_.md5 != nullptr) static_cast<void>(hashes_.md5->digest());  // starts over
  if (hashes_.sent != nullptr) hashes_.sent->hash() = *before_;
}

bool UploadBody::rewind() {
  take_back();
  return true;
}

}  // namespace pullama::engine
