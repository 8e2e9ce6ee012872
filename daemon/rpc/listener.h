#pragma once
// A listening Unix socket at a path, bound safely: in a folder that nobody else can write, over a socket that a dead
// daemon left, never over one of a living daemon. Two daemons that start at once are told apart by an flock on
// `<path>.lock`, which the kernel frees with the process.

#include <sys/types.h>

#include <optional>
#include <string>

#include "common/endpoint.h"
#include "common/result.h"

namespace pullama::rpc {

class Listener {
 public:
  // Makes the folder (0700, one level) unless the user chose the path. Fails with kLocked over a living daemon,
  // kPermission for a folder that is a symlink, not ours, or writable by others (below /tmp: not exactly 0700),
  // kNotFound where there is none, kInvalidArgument for a path that is too long or names something that is no socket.
  // A folder that the user chose may be root's with the sticky bit, as /tmp is: nobody can replace our socket there.
  // The socket is 0600, or 0660 and `group`'s.
  static Result<Listener> bind(const Endpoint& endpoint, std::optional<gid_t> group = {});
  // Over a descriptor from the service manager, which owns the path. Takes it in any case.
  static Result<Listener> adopt(int fd);

  Listener(Listener&& other) noexcept;
  Listener& operator=(Listener&& other) noexcept;
  ~Listener();  // remove(), and closes what was not released

  const std::string& path() const { return path_; }
  int release();  // the descriptor, to an acceptor that closes it
  // Unlinks socket and lock if they are still the ones that were made here. Nothing for an adopted one.
  void remove();

 private:
  Listener() = default;
  std::string path_;
  int fd_ = -1;
  int lock_fd_ = -1;
  bool owns_path_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace pullama::rpc
