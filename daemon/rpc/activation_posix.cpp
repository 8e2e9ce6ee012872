#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include "daemon/rpc/activation.h"

namespace pullama::rpc {
namespace {

std::optional<long> parse_number(std::string_view text) {
  long number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return {};
  return number;
}

std::optional<std::string> take_variable(const char* name) {
  const char* value = std::getenv(name);
  std::optional<std::string> text;
  if (value != nullptr) text = value;
  ::unsetenv(name);
  return text;
}

int socket_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

}  // namespace

Result<std::optional<int>> take_activated_socket(int first_fd) {
  const auto pid_text = take_variable("LISTEN_PID");
  const auto count_text = take_variable("LISTEN_FDS");
  take_variable("LISTEN_FDNAMES");
  if (!pid_text || !count_text) return std::optional<int>();
  const auto pid = parse_number(*pid_text);
  const auto count = parse_number(*count_text);
  if (!pid || !count) {
    return fail(ErrorCode::kInvalidArgument, "LISTEN_PID and LISTEN_FDS must be numbers",
                "unset both, or let the service manager set them");
  }
  if (*pid != ::getpid() || *count == 0) return std::optional<int>();
  if (*count != 1) {
    return fail(ErrorCode::kInvalidArgument,
                "LISTEN_FDS hands over " + *count_text + " sockets, and pullamad takes one",
                "name one ListenStream= in pullamad.socket");
  }
  if (socket_option(first_fd, SO_DOMAIN) != AF_UNIX || socket_option(first_fd, SO_TYPE) != SOCK_STREAM ||
      socket_option(first_fd, SO_ACCEPTCONN) != 1) {
    return fail(ErrorCode::kInvalidArgument,
                "descriptor " + std::to_string(first_fd) + " from LISTEN_FDS is no listening Unix stream socket",
                "give pullamad.socket a ListenStream= that is a path");
  }
  if (::fcntl(first_fd, F_SETFD, FD_CLOEXEC) != 0) {
    const int error = errno;
    return fail(ErrorCode::kInternal,
                "descriptor " + std::to_string(first_fd) +
                    " cannot be made close-on-exec: " + std::generic_category().message(error),
                "", error);
  }
  return std::optional<int>(first_fd);
}

}  // namespace pullama::rpc
