#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "client/autostart.h"
#include "common/printable.h"
#include "common/user_folders.h"

namespace pullama::client {
namespace {

constexpr off_t kMostLog = 5 << 20;
constexpr const char* kProgram = "pullamad";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

std::string own_folder() {
  std::array<char, 4096> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length <= 0) return {};
  const std::string whole(path.data(), static_cast<std::size_t>(length));
  return whole.substr(0, whole.rfind('/'));
}

Result<std::string> find_program() {
  const std::string folder = own_folder();
  if (!folder.empty() && is_program(folder + "/" + kProgram)) return folder + "/" + kProgram;
  const std::string path = variable("PATH");
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string place = path.substr(begin, end - begin);
    // An empty or relative entry is the current folder: not a place to start a daemon from.
    if (place.rfind('/', 0) == 0 && is_program(place + "/" + kProgram)) return place + "/" + kProgram;
    begin = end + 1;
  }
  return fail(ErrorCode::kInternal, fmt::format("no {} beside this program ({}) nor on PATH", kProgram, folder),
              "install it beside pullama, or start it by hand");
}

void make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    ::mkdir(path.substr(0, at).c_str(), 0700);  // fails where it exists; opening the log tells the rest
  }
}

// The log, appended to; /dev/null where it cannot be had: a daemon without a log is better than none.
int open_log(std::string& path, long long& begin) {
  begin = 0;
  if (!path.empty()) {
    make_folders(path);
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && info.st_size > kMostLog) {
      if (::rename(path.c_str(), (path + ".1").c_str()) != 0) ::unlink(path.c_str());
    }
    const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
      if (::fstat(fd, &info) == 0) begin = info.st_size;
      return fd;
    }
  }
  path.clear();
  return ::open("/dev/null", O_WRONLY | O_CLOEXEC);
}

void close_from(unsigned first) {
  if (::close_range(first, ~0U, 0) == 0) return;
  const long most = ::sysconf(_SC_OPEN_MAX);
  for (long fd = static_cast<long>(first); fd < (most > 0 ? most : 1024); ++fd) ::close(static_cast<int>(fd));
}

// In the child. Nothing of the client's stays: descriptors, terminal, session, signal handlers, current folder.
[[noreturn]] void become_daemon(const std::string& program, std::vector<char*>& words, const std::string& models_dir,
                                int log) {
  ::setsid();
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing < 0 || ::dup2(nothing, 0) < 0 || ::dup2(log, 1) < 0 || ::dup2(log, 2) < 0) _exit(126);
  close_from(3);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP, SIGWINCH, SIGCHLD}) {
    static_cast<void>(signal(number, SIG_DFL));
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"}) unsetenv(name);
  if (!models_dir.empty()) setenv("OLLAMA_MODELS", models_dir.c_str(), 1);
  if (::chdir("/") != 0) _exit(126);
  ::execv(program.c_str(), words.data());
  const std::string fault = fmt::format("{}: {}\n", program, std::strerror(errno));
  [[maybe_unused]] const ssize_t written = ::write(2, fault.data(), fault.size());
  _exit(127);
}

}  // namespace

Result<StartedDaemon> StartedDaemon::start(const DaemonCommand& command) {
  const auto program = find_program();
  if (!program) return fail(program.error());
  std::vector<std::string> strings{*program};
  strings.insert(strings.end(), command.arguments.begin(), command.arguments.end());
  std::vector<char*> words;
  words.reserve(strings.size() + 1);
  for (std::string& text : strings) words.push_back(text.data());
  words.push_back(nullptr);

  std::string path = daemon_log_path();
  long long begin = 0;
  const int log = open_log(path, begin);
  if (log < 0) return fail(ErrorCode::kInternal, fmt::format("no log for the daemon: {}", std::strerror(errno)));
  const pid_t child = ::fork();
  const int fault = errno;
  if (child == 0) become_daemon(*program, words, command.models_dir, log);
  ::close(log);
  if (child < 0) {
    return fail(ErrorCode::kInternal, fmt::format("{} cannot be started: {}", *program, std::strerror(fault)), {},
                fault);
  }
  return StartedDaemon(child, std::move(path), begin);
}

bool StartedDaemon::has_ended() {
  if (pid_ <= 0) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

std::string StartedDaemon::last_words() const {
  if (log_path_.empty()) return {};
  const int fd = ::open(log_path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return {};
  struct stat info {};
  std::string text;
  if (::fstat(fd, &info) == 0) {
    std::array<char, 8192> bytes{};
    const off_t from = std::max<off_t>(static_cast<off_t>(log_begin_), info.st_size - static_cast<off_t>(bytes.size()));
    const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), from);
    if (got > 0) text.assign(bytes.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  text.erase(text.find_last_not_of("\n\r ") + 1);
  return printable(text.substr(text.rfind('\n') + 1), 1024);
}

void pause_briefly(int milliseconds, int wake_fd) {
  pollfd wait{wake_fd, POLLIN, 0};
  ::poll(&wait, 1, milliseconds);
}

}  // namespace pullama::client
