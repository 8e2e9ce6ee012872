#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <spdlog/spdlog.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "daemon/process.h"
#include "daemon/registry/ascii.h"

namespace pullama {
namespace {

extern "C" void leave_on_signal(int) { ::_exit(0); }

void handle(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(number, &action, nullptr) != 0) {
    spdlog::critical("cannot handle signal {}: {}", number, std::strerror(errno));
    std::abort();
  }
}

}  // namespace

void harden_process() {
  ::umask(077);
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) spdlog::warn("core files stay allowed: {}", std::strerror(errno));
  handle(SIGPIPE, SIG_IGN);
  handle(SIGHUP, SIG_IGN);
#ifdef __GLIBC__
  // A heap of its own for each of many short-lived threads would keep what each once needed.
  ::mallopt(M_ARENA_MAX, 2);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
#endif
}

std::string home_folder() {
  std::array<char, 16384> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) return {};
  return found->pw_dir == nullptr ? "" : found->pw_dir;
}

std::optional<std::chrono::milliseconds> watchdog_interval() {
  const auto number = [](const char* name) {
    const char* text = std::getenv(name);
    return text == nullptr ? std::nullopt : registry::parse_digits<std::uint64_t>(text);
  };
  const auto limit_us = number("WATCHDOG_USEC");
  if (!limit_us || *limit_us == 0) return std::nullopt;
  if (std::getenv("WATCHDOG_PID") != nullptr && number("WATCHDOG_PID") != static_cast<std::uint64_t>(::getpid())) {
    return std::nullopt;
  }
  const std::uint64_t half_ms = std::clamp<std::uint64_t>(*limit_us / 2000, 10, 3'600'000);
  return std::chrono::milliseconds(half_ms);
}

Result<gid_t> group_id(const std::string& name) {
  std::array<char, 65536> buffer{};
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return fail(ErrorCode::kInvalidArgument, "there is no group " + name, "socket_group names one of this machine");
  }
  return found->gr_gid;
}

bool is_program_replaced() {
  std::error_code unknown;
  return std::filesystem::read_symlink("/proc/self/exe", unknown).string().ends_with(" (deleted)") && !unknown;
}

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  sockaddr_un address{};
  const std::size_t length = std::strlen(path);
  if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@')) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  const auto* target = static_cast<const sockaddr*>(static_cast<const void*>(&address));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  if (::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, target, size) < 0) {
    spdlog::warn("the service manager could not be told {}: {}", state, std::strerror(errno));
  }
  ::close(fd);
}

void leave_soon(std::chrono::milliseconds limit) {
  handle(SIGTERM, leave_on_signal);
  handle(SIGINT, leave_on_signal);
  handle(SIGALRM, leave_on_signal);
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(limit.count() / 1000);
  timer.it_value.tv_usec = static_cast<suseconds_t>(limit.count() % 1000 * 1000);
  if (::setitimer(ITIMER_REAL, &timer, nullptr) != 0) spdlog::warn("no time limit: {}", std::strerror(errno));
}

void leave_now(int exit_code) { ::_exit(exit_code); }

}  // namespace pullama
