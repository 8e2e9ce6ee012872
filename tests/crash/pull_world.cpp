#include "tests/crash/pull_world.h"

#include <chrono>
#include <numeric>

#include "daemon/store/leftovers.h"

namespace pullama::testing {
namespace {

constexpr std::size_t kPieceBytes = 8 << 10;
constexpr std::uint64_t kChunkBytes = 16 << 10;
constexpr auto kFast = std::chrono::hours(1);
constexpr auto kOften = std::chrono::milliseconds(1);
constexpr auto kSeldom = std::chrono::seconds(5);
// Only waited out when nothing is saved any more: at the cut.
constexpr auto kPatience = std::chrono::milliseconds(5);

class SavedSink final : public engine::ProgressSink {
 public:
  void report(const engine::Report& report) override {
    const std::lock_guard lock(mutex_);
    if (const auto* saved = std::get_if<engine::CheckpointSaved>(&report)) {
      said_.saved[saved->blob.digest] = saved->bytes;
      ++saved_;
      changed_.notify_all();
    } else if (const auto* finished = std::get_if<engine::BlobFinalized>(&report)) {
      said_.finished.insert(finished->blob.digest);
    } else if (std::holds_alternative<engine::ManifestWritten>(report)) {
      said_.installed = true;
    }
  }
  void wait_for_next() {
    std::unique_lock lock(mutex_);
    const auto before = saved_;
    changed_.wait_for(lock, kPatience, [&] { return saved_ != before; });
  }

  const Said& said() const { return said_; }  // after the pull

 private:
  std::mutex mutex_;  // guards all below
  Said said_;
  std::condition_variable changed_;
  std::uint64_t saved_ = 0;
};

}  // namespace

PullWorld::PullWorld(const std::vector<std::string>& blobs) : truth_{*ModelName::parse("mem.test/ns/m"), {}, {}} {
  registry_.set_piece_bytes(kPieceBytes);
  publish(blobs);
}

void PullWorld::publish(const std::vector<std::string>& blobs) {
  digests_.clear();
  for (const std::string& blob : blobs) {
    digests_.push_back(registry_.add_blob(blob));
    truth_.contents[digests_.back()] = blob;
  }
  truth_.manifests.push_back(registry_.add_model("ns/m", "latest", blobs));
}

std::uint64_t PullWorld::total_bytes() const {
  return std::accumulate(
      digests_.begin(), digests_.end(), std::uint64_t{0},
      [&](std::uint64_t sum, const Digest& digest) { return sum + truth_.contents.at(digest).size(); });
}

Result<engine::PullSummary> PullWorld::pull(CrashFileSystem& disk, store::Ledger& ledger, Pace pace, Said* said) {
  SavedSink sink;
  engine::SpaceReservations space;
  engine::PullRequest request{.model = truth_.model, .ca_file = {}, .user_agent = {}, .manifest_before = {}};
  request.chunk_bytes = kChunkBytes;
  request.connections = 1;
  request.checkpoint_interval = pace == Pace::kFast ? kFast : pace == Pace::kUnsynced ? kSeldom : kOften;
  if (pace == Pace::kCheckpoints) {
    registry_.set_on_piece([&](std::uint64_t) {
      if (!disk.is_off()) sink.wait_for_next();
      clock_.advance(std::chrono::milliseconds(300));  // long enough that what is gathered gets written
    });
  }
  if (pace == Pace::kUnsynced) {
    registry_.set_on_piece([&](std::uint64_t bytes) {
      if (on_piece_) on_piece_(bytes);
      clock_.advance(std::chrono::milliseconds(300));
    });
  }
  store::remove_leftovers(disk);
  engine::Pull pull({registry_, clock_, credentials_, rate_}, {disk, ledger, space}, request, sink);
  auto result = pull.run({});
  registry_.set_on_piece({});
  if (said != nullptr) *said = sink.said();
  return result;
}

}  // namespace pullama::testing
