#pragma once
// A file descriptor that closes itself.

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace pullama::io {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  // What must last was synced, and that result looked at, before this: close() can then report nothing that matters.
  void reset() {
    if (fd_ < 0) return;
    const int saved = errno;
    static_cast<void>(::close(fd_));
    errno = saved;
    fd_ = -1;
  }
  int fd_ = -1;
};

// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

}  // namespace pullama::io
