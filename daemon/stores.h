#pragma once
// The models dirs that this process works in, opened once each. Who writes into one holds its daemon lock for as long
// as the process lives: one daemon a models dir. Thread-safe; blocking, so any thread but control.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "daemon/engine/space.h"
#include "daemon/io/file_system.h"
#include "daemon/store/daemon_lock.h"
#include "daemon/store/in_use.h"
#include "daemon/store/ledger.h"

namespace pullama {

struct Store {
  std::string models_dir;
  std::unique_ptr<io::FileSystem> fs;
  std::optional<store::DaemonLock> lock;
  std::unique_ptr<store::Ledger> ledger;
  engine::SpaceReservations space;
  store::InUse in_use;
  bool gone = false;  // another folder lies at its path now; what runs in it ends there
};

class Stores {
 public:
  explicit Stores(store::DaemonIdentity self) : self_(std::move(self)) {}

  // For transfers: made where it is missing, locked. kLocked names the socket of the daemon that has it. The reference
  // lives as long as this. A .pullm that somebody removed is made and locked again; a models dir in whose place another
  // one lies is opened anew.
  Result<Store*> writable(const std::string& models_dir);
  // For looking only: no lock, nothing is made. kInvalidArgument where there is no such folder.
  Result<std::shared_ptr<io::FileSystem>> readable(const std::string& models_dir);
  // The same; where there is no such folder yet, the one that it would be made in: empty, and on the same disk.
  Result<std::shared_ptr<io::FileSystem>> looking(const std::string& models_dir);
  // What transfers of ours need in it; nullptr where we have not opened it for writing.
  store::InUse* known_in_use(const std::string& models_dir);
  // Closes all and gives their locks back, at the end. Precondition: nobody works in any, or will.
  void release();
  // Our socket, where it is known only after a lock was taken.
  Status announce(const std::string& socket);

 private:
  Store* known(const std::string& models_dir);
  Status lock(Store& store);

  std::mutex mutex_;  // guards all below
  store::DaemonIdentity self_;
  std::vector<std::unique_ptr<Store>> stores_;
};

}  // namespace pullama
