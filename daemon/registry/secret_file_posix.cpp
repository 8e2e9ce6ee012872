#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/registry/secret_file.h"

namespace pullama::registry {
namespace {

tl::unexpected<Error> failed(const std::string& path, int number) {
  const auto code = number == ENOENT || number == ENOTDIR ? ErrorCode::kNotFound
                    : number == EACCES || number == EPERM ? ErrorCode::kPermission
                                                          : ErrorCode::kInternal;
  return fail(code, "cannot read " + path + ": " + std::strerror(number), {}, number);
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);  // read only: nothing can be lost
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Result<SecretFile> read_secret_file(const std::string& path, std::uint64_t max_bytes) {
  // O_NONBLOCK: a FIFO in its place must not hang us.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return failed(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return failed(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::kInvalidArgument, path + " is not a regular file");
  SecretFile result;
  result.readable_by_all = (status.st_mode & 0007) != 0;
  result.content.resize(max_bytes + 1);
  std::size_t length = 0;
  while (length < result.content.size()) {
    const auto got = ::read(file.get(), result.content.data() + length, result.content.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(path, errno);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  if (length > max_bytes) {
    wipe(result.content);
    return fail(ErrorCode::kInvalidArgument, path + " is longer than " + std::to_string(max_bytes) + " bytes");
  }
  result.content.resize(length);
  return result;
}

void wipe(std::string& secret) {
  ::explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace pullama::registry
