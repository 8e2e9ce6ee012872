#pragma once
// A stream of bytes to the daemon on this machine. Every wait has an end. The Unix socket of channel_posix.cpp; a named
// pipe fits behind the same words.

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/endpoint.h"
#include "common/result.h"

namespace pullama::client {

class Channel {
 public:
  // kNetwork where nobody listens, kPermission where we may not or where the folder may be somebody else's trap.
  static Result<std::unique_ptr<Channel>> open(const Endpoint& endpoint, std::chrono::milliseconds limit);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  Status write(std::string_view bytes, std::chrono::milliseconds limit);

  // Who made the socket that we are connected to; 0 and "" where that is not known.
  struct Peer {
    int pid = 0;
    std::string program;
  };
  Peer peer() const;

  enum class Got { kBytes, kNothing, kClosed };
  // Appends what is there. kNothing: the time is over, or `wake_fd` (-1: none) became readable.
  Got read(std::string& into, std::chrono::milliseconds limit, int wake_fd);

 private:
  explicit Channel(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace pullama::client
