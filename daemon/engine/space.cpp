#include "daemon/engine/space.h"

#include <utility>

namespace pullama::engine {

SpaceReservations::Reservation::Reservation(Reservation&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), id_(other.id_) {}

SpaceReservations::Reservation& SpaceReservations::Reservation::operator=(Reservation&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(id_, other.id_);
  return *this;
}

SpaceReservations::Reservation::~Reservation() {
  if (owner_ == nullptr) return;
  const std::lock_guard lock(owner_->mutex_);
  owner_->claims_.erase(id_);
}

void SpaceReservations::Reservation::set(std::uint64_t bytes) {
  if (owner_ == nullptr) return;
  const std::lock_guard lock(owner_->mutex_);
  owner_->claims_[id_] = bytes;
}

SpaceReservations::Reservation SpaceReservations::open() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = next_id_++;
  claims_[id] = 0;
  return Reservation(this, id);
}

std::uint64_t SpaceReservations::others_locked(std::uint64_t id) const {
  std::uint64_t sum = 0;
  for (const auto& [other, bytes] : claims_) {
    if (other != id) sum += bytes;
  }
  return sum;
}

bool SpaceReservations::try_claim(Reservation& reservation, std::uint64_t bytes, std::uint64_t free_bytes, bool force) {
  const std::lock_guard lock(mutex_);
  if (!force && bytes > 0 && others_locked(reservation.id_) + bytes + kSpaceReserveBytes > free_bytes) return false;
  claims_[reservation.id_] = bytes;
  return true;
}

std::uint64_t SpaceReservations::claimed_by_others(const Reservation& reservation) const {
  const std::lock_guard lock(mutex_);
  return others_locked(reservation.id_);
}

}  // namespace pullama::engine
