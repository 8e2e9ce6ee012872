#pragma once
// One direction of a connection: bytes read here are written there after a delay, at a rate, and no more of them are
// under way than a window holds, as on a real line.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace pullama::line {

using Clock = std::chrono::steady_clock;

struct Line {
  std::chrono::milliseconds delay{0};  // each way
  std::uint64_t rate = 0;              // bytes a second towards the client, a connection's; 0: none
  std::size_t window = 4U << 20;       // bytes under way in a direction
  std::uint64_t cut_after = 0;         // bytes towards the client, then a reset; 0: never
};

class Pipe {
 public:
  Pipe(const Line& line, bool limited) : line_(line), rate_(limited ? line.rate : 0) {}

  bool wants_bytes() const { return !ended_ && under_way_ < line_.window; }
  bool is_finished() const { return ended_ && blocks_.empty(); }
  std::uint64_t passed() const { return passed_; }

  // Reads what is there; false: the connection is broken.
  bool read_from(int fd, Clock::time_point now);
  // Writes what is due; false: the connection is broken. `waits_for_peer`: the socket takes no more now.
  bool write_to(int fd, Clock::time_point now, bool& waits_for_peer);
  // When write_to() has something to do again, if that is a matter of time.
  std::optional<Clock::time_point> due() const;

 private:
  struct Block {
    std::vector<char> bytes;
    std::size_t at = 0;
    Clock::time_point due;
  };

  const Line& line_;
  std::uint64_t rate_;
  std::deque<Block> blocks_;
  std::size_t under_way_ = 0;
  std::uint64_t passed_ = 0;
  Clock::time_point free_at_{};  // when the line has sent what it was given
  bool ended_ = false;
};

}  // namespace pullama::line
