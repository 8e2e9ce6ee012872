#pragma once
// The bytes of a range of a blob's file as the body of a request, hashed as they leave, within the rate limits. And the
// SHA-256 of all that was sent, which is checked before a blob is published: wrong bytes on the disk are not pushed
// silently.

#include <cstdint>
#include <optional>
#include <stop_token>

#include "common/digest.h"
#include "common/result.h"
#include "daemon/engine/rate_limit.h"
#include "daemon/engine/transfer.h"
#include "daemon/io/file_system.h"
#include "daemon/io/md5.h"
#include "daemon/io/sha256.h"
#include "daemon/registry/http.h"

namespace pullama::engine {

// Bytes may leave: both buckets, the daemon's and the job's.
struct UploadPace {
  RateLimit& rate_limit;
  RateLimit& job_rate_limit;
  std::uint64_t job = 0;

  bool take(std::uint64_t bytes, const std::stop_token& stop) const {
    return rate_limit.take(job, bytes, stop) && job_rate_limit.take(job, bytes, stop);
  }
  // The lower of both, 0: none.
  std::uint64_t rate() const;
};

// SHA-256 over the file from byte 0 on, as far as it was sent.
class SentHash {
 public:
  SentHash(io::File& file, const Digest& digest) : file_(file), digest_(digest) {}
  // Of an earlier run.
  void restore(const std::optional<io::Sha256::Midstate>& front);
  // Reads on (or anew) so that it stands at `offset`. kCancelled on stop; kCorrupt where the file ends before.
  Status go_to(std::uint64_t offset, const std::stop_token& stop);
  bool is_right() const { return hash_.digest() == digest_; }
  std::optional<io::Sha256::Midstate> midstate() const { return hash_.midstate(); }

  io::Sha256& hash() { return hash_; }

 private:
  io::File& file_;
  const Digest digest_;
  io::Sha256 hash_;
};

class UploadBody final : public registry::HttpBody {
 public:
  struct Hashes {
    io::Md5* md5 = nullptr;    // of this range
    SentHash* sent = nullptr;  // must stand at `offset`; goes on with what is read
  };
  // `paid`: the rate limit was asked for all of it before.
  UploadBody(io::File& file, std::uint64_t offset, std::uint64_t length, const UploadPace& pace, bool paid,
             BlobGauge& gauge, Hashes hashes, std::stop_token stop);

  std::uint64_t size_bytes() const override { return length_; }
  std::size_t read(std::span<std::byte> into) override;
  bool rewind() override;

  // The bytes did not arrive: gauge and hash go back to where they were.
  void take_back();
  // Why read() failed, where it was the disk.
  const std::optional<Error>& problem() const { return problem_; }

 private:
  io::File& file_;
  const std::uint64_t offset_, length_;
  const UploadPace pace_;
  const bool paid_;
  BlobGauge& gauge_;
  const Hashes hashes_;
  const std::stop_token stop_;
  const std::optional<io::Sha256> before_;
  std::uint64_t read_ = 0;
  std::optional<Error> problem_;
};

}  // namespace pullama::engine
