#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

#include "daemon/rpc/listener.h"
#include "daemon/rpc/peer.h"

namespace pullama::rpc {
namespace {

constexpr int kBacklog = 4096;  // the kernel cuts it to net.core.somaxconn

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

auto os_failure(const std::string& what, int error) {
  const ErrorCode code = error == EACCES || error == EPERM || error == EROFS ? ErrorCode::kPermission
                         : error == ENOENT                                   ? ErrorCode::kNotFound
                         : error == ENOSPC || error == EDQUOT                ? ErrorCode::kDiskFull
                                                                             : ErrorCode::kInternal;
  return fail(code, what + ": " + std::generic_category().message(error), "", error);
}

auto already_served(const std::string& path, pid_t pid) {
  const std::string who = pid > 0 ? "a pullamad (pid " + std::to_string(pid) + ")" : std::string("another pullamad");
  return fail(ErrorCode::kLocked, who + " listens on " + path + " already",
              "use it, stop it with `pullama daemon stop`, or name another socket with --socket");
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.front() != '/' || path.back() == '/' || path.find('\0') != std::string::npos) {
    return fail(ErrorCode::kInvalidArgument, "the socket's path must be absolute and name a file: \"" + path + "\"");
  }
  if (path.size() > kMaxSocketPathBytes) {
    return fail(ErrorCode::kInvalidArgument,
                "the socket's path has " + std::to_string(path.size()) + " bytes, and a Unix socket's may have " +
                    std::to_string(kMaxSocketPathBytes) + ": " + path,
                "name a shorter one with --socket");
  }
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);  // as the socket calls want it
}

Status check_folder(const std::string& folder, const Endpoint& endpoint) {
  const auto open_folder = [&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); };
  int fd = open_folder();
  if (fd < 0 && errno == ENOENT && !endpoint.chosen_by_user()) {
    if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
      return os_failure("cannot make the socket's folder " + folder, errno);
    }
    fd = open_folder();
  }
  const int error = errno;
  const Descriptor opened(fd);
  struct stat info {};
  if (fd < 0) {
    if (::lstat(folder.c_str(), &info) == 0 && S_ISLNK(info.st_mode)) {
      return fail(ErrorCode::kPermission, "the socket's folder " + folder + " is a symbolic link",
                  "name the folder that it points to, if that one is yours", ELOOP);
    }
    return os_failure("cannot open the socket's folder " + folder, error);
  }
  if (::fstat(fd, &info) != 0) return os_failure("cannot look at the socket's folder " + folder, errno);
  const bool like_tmp = endpoint.chosen_by_user() && info.st_uid == 0 && (info.st_mode & S_ISVTX) != 0;
  if (like_tmp) return {};
  if (info.st_uid != ::geteuid()) {
    return fail(ErrorCode::kPermission,
                "the socket's folder " + folder + " belongs to user " + std::to_string(info.st_uid) + ", not to us",
                "remove it, or name a socket in a folder of your own with --socket");
  }
  const bool must_be_private = endpoint.folder_needs_check();
  if ((info.st_mode & (must_be_private ? 0077U : 0022U)) != 0) {
    return fail(
        ErrorCode::kPermission,
        "the socket's folder " + folder + (must_be_private ? " is open to others" : " can be written by others"),
        must_be_private ? "chmod 700 " + folder : "chmod go-w " + folder);
  }
  return {};
}

// The process that listens at `path`, -1 when it cannot be told; nullopt when nobody does.
Result<std::optional<pid_t>> listening_process(const std::string& path, const sockaddr_un& address) {
  const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (probe.get() < 0) return os_failure("cannot make a socket", errno);
  if (::connect(probe.get(), generic(address), sizeof address) == 0) {
    const auto peer = peer_of(probe.get());
    return std::optional<pid_t>(peer ? peer->pid : -1);
  }
  if (errno == EAGAIN) return std::optional<pid_t>(-1);  // its backlog is full: it lives
  if (errno == ECONNREFUSED || errno == ENOENT) return std::optional<pid_t>();
  return os_failure("cannot tell whether a daemon listens on " + path, errno);
}

Result<int> take_lock(const std::string& path, const std::string& lock_path, const sockaddr_un& address) {
  for (int attempt = 0; attempt < 16; ++attempt) {
    Descriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (lock.get() < 0) return os_failure("cannot open " + lock_path, errno);
    struct stat ours {
    }, there{};
    if (::fstat(lock.get(), &ours) != 0) return os_failure("cannot look at " + lock_path, errno);
    if (!S_ISREG(ours.st_mode) || ours.st_uid != ::geteuid()) {
      return fail(ErrorCode::kPermission, lock_path + " is no file of ours", "remove it");
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return os_failure("cannot lock " + lock_path, errno);
      const auto process = listening_process(path, address);
      return already_served(path, process && *process ? **process : -1);
    }
    // Whoever held it may have removed it meanwhile; then the name is another file's.
    if (::lstat(lock_path.c_str(), &there) == 0 && there.st_ino == ours.st_ino && there.st_dev == ours.st_dev) {
      return lock.release();
    }
  }
  return already_served(path, -1);
}

}  // namespace

Result<Listener> Listener::bind(const Endpoint& endpoint, std::optional<gid_t> group) {
  const std::string& path = endpoint.path;
  const auto address = address_of(path);
  if (!address) return fail(address.error());
  const std::size_t slash = path.rfind('/');
  if (auto folder = check_folder(slash == 0 ? "/" : path.substr(0, slash), endpoint); !folder) {
    return fail(folder.error());
  }
  Listener listener;
  listener.path_ = path;
  auto lock = take_lock(path, path + ".lock", *address);
  if (!lock) return fail(lock.error());
  listener.lock_fd_ = *lock;

  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return fail(ErrorCode::kInvalidArgument, path + " is there already and is no socket",
                  "name another path with --socket");
    }
    const auto process = listening_process(path, *address);
    if (!process) return fail(process.error());
    if (*process) return already_served(path, **process);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return os_failure("cannot remove the dead socket " + path, errno);
    }
  } else if (errno != ENOENT) {
    return os_failure("cannot look at " + path, errno);
  }

  const mode_t mode = group ? 0660 : 0600;
  listener.fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener.fd_ < 0) return os_failure("cannot make a socket", errno);
  // Linux takes the mode of the name from the descriptor, so there is no moment with a wider one.
  if (::fchmod(listener.fd_, 0600) != 0) return os_failure("cannot set the mode of the socket " + path, errno);
  if (::bind(listener.fd_, generic(*address), sizeof *address) != 0) return os_failure("cannot bind " + path, errno);
  if (::lstat(path.c_str(), &info) != 0) return os_failure("cannot look at " + path, errno);
  listener.owns_path_ = true;
  listener.device_ = info.st_dev;
  listener.inode_ = info.st_ino;
  if (group && ::lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return os_failure("cannot give " + path + " to group " + std::to_string(*group), errno);
  }
  if (::chmod(path.c_str(), mode) != 0) return os_failure("cannot set the mode of " + path, errno);
  if (::listen(listener.fd_, kBacklog) != 0) return os_failure("cannot listen on " + path, errno);
  return listener;
}

Result<Listener> Listener::adopt(int fd) {
  Listener listener;
  listener.fd_ = fd;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
    return os_failure("the socket from the service manager cannot be used", errno);
  }
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return os_failure("the socket from the service manager has no address", errno);
  }
  const std::size_t bytes = std::min<std::size_t>(size, sizeof address);
  if (bytes > offsetof(sockaddr_un, sun_path) && address.sun_path[0] != '\0') {
    const std::string_view text(address.sun_path, bytes - offsetof(sockaddr_un, sun_path));
    listener.path_ = text.substr(0, text.find('\0'));
  }
  return listener;
}

Listener::Listener(Listener&& other) noexcept { *this = std::move(other); }

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(lock_fd_, other.lock_fd_);
  std::swap(owns_path_, other.owns_path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

Listener::~Listener() {
  remove();
  if (fd_ >= 0) ::close(fd_);
}

int Listener::release() { return std::exchange(fd_, -1); }

void Listener::remove() {
  struct stat ours {
  }, there{};
  if (std::exchange(owns_path_, false) && ::lstat(path_.c_str(), &there) == 0 && there.st_dev == device_ &&
      there.st_ino == inode_) {
    // A name that cannot be removed is a stale socket for the next start, which removes it.
    static_cast<void>(::unlink(path_.c_str()));
  }
  if (lock_fd_ < 0) return;
  const std::string lock_path = path_ + ".lock";
  if (::fstat(lock_fd_, &ours) == 0 && ::lstat(lock_path.c_str(), &there) == 0 && there.st_dev == ours.st_dev &&
      there.st_ino == ours.st_ino) {
    static_cast<void>(::unlink(lock_path.c_str()));
  }
  ::close(std::exchange(lock_fd_, -1));
}

}  // namespace pullama::rpc
