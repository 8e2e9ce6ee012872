#pragma once
// What differs between a test run as root and one run as a user.

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

namespace pullama::testing {

// Sets the process's umask for a scope.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

inline constexpr uid_t kStranger = 65'533;
inline constexpr uid_t kOtherUser = 65'532;

// True as root; else says that this part of the test is left out.
bool have_root();

// Runs `body` in a child process as `uid` and gives its exit code; 99 for an exception. As root only.
int as_user(uid_t uid, int (*body)(void*), void* argument);

template <class Body>
int as_user(uid_t uid, Body body) {
  return as_user(
      uid, [](void* argument) -> int { return (*static_cast<Body*>(argument))(); }, &body);
}

// Of the file itself, following nothing.
mode_t mode_of(const std::string& path);
uid_t owner_of(const std::string& path);

}  // namespace pullama::testing
