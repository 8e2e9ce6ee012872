#pragma once
// One blob at its mirrors first and at its origin last. A place that fails before it delivered a byte is passed over at
// once; one that breaks off or falls silent is not asked for this blob again, and the engine goes on from its last byte
// at the next. Bytes that are asked for a second time had the wrong digest: whoever delivered them is not asked again,
// by the sources that the same job makes for the blob later either. Thread-safe.

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "daemon/registry/registry.h"

namespace pullama::registry {

// How far a job's sources of one blob came along its places.
struct MirrorProgress {
  std::mutex mutex;  // guards both
  std::size_t current = 0;
  std::map<std::uint64_t, std::uint64_t> delivered;  // begin → end of what the current place delivered, apart
};

class MirroredBlob final : public BlobSource {
 public:
  struct Place {
    std::unique_ptr<BlobSource> source;
    std::atomic<bool>* is_down = nullptr;  // of a mirror: set where it is away, for the job's other blobs
  };
  // What is said where the origin, the last place, refused.
  using Refusal = std::function<void(Fault& fault)>;
  // The origin last; at least one. The same places for the same progress.
  MirroredBlob(const io::Clock& clock, std::vector<Place> places, std::shared_ptr<MirrorProgress> progress,
               Refusal refusal);

  Outcome<void> fetch(HttpConnection& connection, ByteRange range, BlobSink& sink, std::stop_token stop) override;
  bool ranges_supported() const override;
  std::string host() const override;

 private:
  std::size_t place_for(ByteRange range);
  void delivered(std::size_t place, std::uint64_t begin, std::uint64_t end);
  void give_up(std::size_t place);

  BlobSource& current_source() const;

  const io::Clock& clock_;
  const std::vector<Place> places_;
  const std::shared_ptr<MirrorProgress> progress_;
  const Refusal refusal_;
};

}  // namespace pullama::registry
