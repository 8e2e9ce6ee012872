#pragma once
// One daemon a models dir: a flock on .pullm/daemon.lock, held as long as the daemon lives and freed by the kernel with
// it. The file says who holds it, so that a client that meets the models dir can go to the daemon that has it:
// {"pid": 123, "uid": 1000, "socket": "/run/user/1000/pullama/pullamad.sock"}. It is never removed.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/result.h"
#include "daemon/io/file_system.h"

namespace pullama::store {

struct DaemonIdentity {
  std::int64_t pid = 0;
  std::uint32_t uid = 0;
  std::string socket;  // absolute path

  bool operator==(const DaemonIdentity&) const = default;
};

class DaemonLock {
 public:
  // kLocked where another daemon has the models dir; `holder` is then what it says of itself, nullopt where that cannot
  // be read (it may be about to write it). Makes .pullm where it is missing. The text is not durable: it means nothing
  // without the lock.
  static Result<DaemonLock> acquire(io::FileSystem& fs, const DaemonIdentity& self,
                                    std::optional<DaemonIdentity>& holder);
  // Whether the locked file is still the one at its path; lost means that another daemon may run.
  Result<bool> still_ours() const;
  // A daemon that learns its socket's path late says it here.
  Status announce(const DaemonIdentity& self);

 private:
  DaemonLock(io::FileSystem& fs, std::unique_ptr<io::File> file) : fs_(&fs), file_(std::move(file)) {}

  io::FileSystem* fs_;
  std::unique_ptr<io::File> file_;
};

}  // namespace pullama::store
