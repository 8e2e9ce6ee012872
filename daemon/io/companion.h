#pragma once
// A second process of our own program, and the messages between the two: whole ones, in order, each at most
// kMaxMessageBytes. It outlives us when we are killed: then its receive() says so, and it decides how soon it goes.

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/io/descriptor_posix.h"

namespace pullama::io {

inline constexpr std::size_t kMaxMessageBytes = 192ULL * 1024;

// One end. send() and receive() may be used by two threads.
class MessageChannel {
 public:
  // The number under which a companion finds its end.
  static constexpr int kCompanionsEnd = 3;

  explicit MessageChannel(Descriptor end) : end_(std::move(end)) {}

  // Waits while the other side has not taken what is before it; false where it is gone.
  bool send(std::string_view message);
  // Only if there is room at once.
  void offer(std::string_view message);

  enum class Got { kMessage, kNothing, kEnd };
  // Waits for at most `limit`.
  Got receive(std::string& message, std::chrono::milliseconds limit);
  // Nothing is taken out.
  bool is_other_side_gone() const;

 private:
  Descriptor end_;
};

// Our side. Not thread-safe.
class Companion {
 public:
  // `words`: the arguments of this very program, from the name on that it is to have. Its standard error is ours, its
  // environment too.
  static Result<std::unique_ptr<Companion>> start(std::vector<std::string> words);
  // Ends it, whatever it does.
  ~Companion();
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;

  MessageChannel& channel() { return *channel_; }

  // Lets it go: for it, we are gone. It is reaped when another one is started or let go.
  static void leave(std::unique_ptr<Companion> companion);

 private:
  Companion(pid_t child, Descriptor end) : child_(child), channel_(std::in_place, std::move(end)) {}
  pid_t child_;
  std::optional<MessageChannel> channel_;
};

}  // namespace pullama::io
