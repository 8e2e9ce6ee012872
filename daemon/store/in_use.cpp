#include "daemon/store/in_use.h"

#include <utility>

namespace pullama::store {

InUse::Hold::Hold(Hold&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), digests_(std::move(other.digests_)) {}

InUse::Hold& InUse::Hold::operator=(Hold&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(digests_, other.digests_);
  return *this;
}

InUse::Hold::~Hold() {
  if (owner_ == nullptr) return;
  const std::lock_guard lock(owner_->mutex_);
  for (const Digest& digest : digests_) {
    const auto at = owner_->counts_.find(digest);
    if (at != owner_->counts_.end() && --at->second == 0) owner_->counts_.erase(at);
  }
}

InUse::Hold InUse::hold(std::vector<Digest> digests) {
  const std::lock_guard lock(mutex_);
  for (const Digest& digest : digests) ++counts_[digest];
  return Hold(this, std::move(digests));
}

bool InUse::holds(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  return counts_.contains(digest);
}

bool InUse::unless_held(const Digest& digest, const std::function<void()>& action) {
  const std::lock_guard lock(mutex_);
  if (counts_.contains(digest)) return false;
  action();
  return true;
}

}  // namespace pullama::store
