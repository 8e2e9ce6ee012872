#pragma once
// What the running jobs of one models dir still need on its disk beyond what is allocated already, so that two jobs do
// not both count on the same free space. Thread-safe.

#include <cstdint>
#include <map>
#include <mutex>

namespace pullama::engine {

// Kept free beside what is needed: file system metadata, state files, other programs.
inline constexpr std::uint64_t kSpaceReserveBytes = 64ULL << 20;

class SpaceReservations {
 public:
  // One job's claim; ends with its destruction.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();
    // Replaces the claim, as blobs get their space allocated.
    void set(std::uint64_t bytes);

   private:
    friend class SpaceReservations;
    Reservation(SpaceReservations* owner, std::uint64_t id) : owner_(owner), id_(id) {}
    SpaceReservations* owner_ = nullptr;
    std::uint64_t id_ = 0;
  };

  Reservation open();
  // Claims `bytes` if `free_bytes` minus the claims of others and kSpaceReserveBytes allows it; otherwise changes
  // nothing and returns false. `force` claims in any case.
  bool try_claim(Reservation& reservation, std::uint64_t bytes, std::uint64_t free_bytes, bool force);
  std::uint64_t claimed_by_others(const Reservation& reservation) const;

 private:
  std::uint64_t others_locked(std::uint64_t id) const;
  mutable std::mutex mutex_;  // guards both
  std::map<std::uint64_t, std::uint64_t> claims_;
  std::uint64_t next_id_ = 1;
};

}  // namespace pullama::engine
