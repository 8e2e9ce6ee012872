#include "tests/support/line_proxy/pipe.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace pullama::line {

namespace {
constexpr std::size_t kBlock = 256 << 10;
constexpr std::size_t kRatedBlock = 16 << 10;  // small where a rate shapes the line, so that it flows
}  // namespace

bool Pipe::read_from(int fd, Clock::time_point now) {
  while (wants_bytes()) {
    Block block;
    block.bytes.resize(rate_ != 0 ? kRatedBlock : kBlock);
    const ssize_t got = ::read(fd, block.bytes.data(), block.bytes.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) {
      ended_ = true;
      return true;
    }
    block.bytes.resize(static_cast<std::size_t>(got));
    block.due = now;
    if (rate_ != 0) {
      free_at_ = std::max(free_at_, now) + std::chrono::nanoseconds(1'000'000'000ULL * block.bytes.size() / rate_);
      block.due = free_at_;
    }
    block.due += line_.delay;
    under_way_ += block.bytes.size();
    blocks_.push_back(std::move(block));
  }
  return true;
}

bool Pipe::write_to(int fd, Clock::time_point now, bool& waits_for_peer) {
  waits_for_peer = false;
  while (!blocks_.empty() && blocks_.front().due <= now) {
    Block& block = blocks_.front();
    const ssize_t put = ::send(fd, block.bytes.data() + block.at, block.bytes.size() - block.at, MSG_NOSIGNAL);
    if (put < 0) {
      waits_for_peer = errno == EAGAIN;
      return errno == EAGAIN || errno == EINTR;
    }
    block.at += static_cast<std::size_t>(put);
    under_way_ -= static_cast<std::size_t>(put);
    passed_ += static_cast<std::uint64_t>(put);
    if (block.at == block.bytes.size()) blocks_.pop_front();
  }
  return true;
}

std::optional<Clock::time_point> Pipe::due() const {
  if (blocks_.empty()) return std::nullopt;
  return blocks_.front().due;
}

}  // namespace pullama::line
