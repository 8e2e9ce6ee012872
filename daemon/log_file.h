#pragma once
// The log of a daemon that nobody keeps a journal for: its standard error, which the client that started it opened on
// $XDG_STATE_HOME/pullama/pullamad.log. What others write to that descriptor lies there too. Beyond its limit the file
// becomes pullamad.log.1 and a new one, mode 0600, takes its place; two times the limit is all that ever lies there.

#include <cstdint>
#include <string>
#include <string_view>

namespace pullama {

class LogFile {
 public:
  static constexpr std::uint64_t kMostBytes = 5U << 20;

  // `fd` is borrowed. It is rotated only if it is a file at `path` now: what a user redirected is the user's.
  LogFile(int fd, std::string path, std::uint64_t most_bytes = kMostBytes);

  // One thread at a time. What cannot be written is lost: a log keeps nobody from downloading.
  void write(std::string_view text);

 private:
  void rotate();

  const int fd_;
  const std::string path_;
  const std::uint64_t most_bytes_;
  bool rotates_;
};

}  // namespace pullama
