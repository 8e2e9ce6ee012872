#pragma once
// The blobs that running transfers of this process count on, from the moment they know their names to their end. Who
// removes something asks here first, in one step with the removal, so that nothing goes in between. Other processes'
// transfers are known by their blob locks. Thread-safe; one a models dir.

#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "common/digest.h"

namespace pullama::store {

class InUse {
 public:
  // One transfer's blobs; ends with its destruction. InUse must outlive it.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&& other) noexcept;
    Hold(const Hold&) = delete;
    ~Hold();

   private:
    friend class InUse;
    Hold(InUse* owner, std::vector<Digest> digests) : owner_(owner), digests_(std::move(digests)) {}
    InUse* owner_ = nullptr;
    std::vector<Digest> digests_;
  };

  [[nodiscard]] Hold hold(std::vector<Digest> digests);
  bool holds(const Digest& digest) const;
  // Runs `action` while nobody can begin to hold the digest; false, without running it, where somebody does. `action`
  // must not come back here.
  bool unless_held(const Digest& digest, const std::function<void()>& action);

 private:
  mutable std::mutex mutex_;  // guards counts_
  std::unordered_map<Digest, unsigned> counts_;
};

}  // namespace pullama::store
