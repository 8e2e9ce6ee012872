#include "tests/support/io/privileges.h"

#include <doctest/doctest.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <system_error>

namespace pullama::testing {
namespace {

struct ::stat look(const std::string& path) {
  struct ::stat found {};
  if (::lstat(path.c_str(), &found) != 0) throw std::system_error(errno, std::generic_category(), path);
  return found;
}

}  // namespace

bool have_root() {
  if (::geteuid() == 0) return true;
  MESSAGE("left out: needs root");
  return false;
}

int as_user(uid_t uid, int (*body)(void*), void* argument) {
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    int code = 99;
    if (::setgroups(0, nullptr) == 0 && ::setgid(uid) == 0 && ::setuid(uid) == 0) {
      try {
        code = body(argument);
      } catch (const std::exception&) {
        code = 99;
      }
    }
    ::_exit(code);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw std::system_error(errno, std::generic_category(), "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

mode_t mode_of(const std::string& path) { return look(path).st_mode & 07777; }
uid_t owner_of(const std::string& path) { return look(path).st_uid; }

}  // namespace pullama::testing
