#pragma once
// The disk below CrashFileSystem: what programs see (the cache) and what a power cut leaves (what was synced, and any
// part of the rest). Not thread-safe; paths and errors are CrashFileSystem's.
//
// The model, meaner than ext4 and no meaner than POSIX:
// - A file's bytes are durable after a sync of the file. Unsynced writes survive in any combination of pieces (pages of
//   4096 bytes; sectors of 512 of small writes), truncations and growth likewise.
// - A name is durable after a sync of its folder, whatever was synced of the file. Of a folder's unsynced changes any
//   number survive in their order; a rename within a folder is one change. Of a rename between folders the new name
//   may survive without the old one's removal, never the removal alone.

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "daemon/io/file_system.h"

namespace pullama::testing {

using InodeNumber = std::uint64_t;
inline constexpr InodeNumber kRoot = 1;
inline constexpr InodeNumber kNoInode = 0;

// Which of the unsynced things a power cut leaves.
enum class Survivors {
  kOnlySynced,
  kEverything,  // also what kill -9 leaves
  kRandom,      // by a seed
};

struct Inode {
  using Entries = std::map<std::string, InodeNumber>;
  struct Change {  // of the bytes; with no bytes: the size becomes `offset`
    std::uint64_t offset = 0;
    std::string bytes;
  };

  io::FileStat::Kind kind = io::FileStat::Kind::kFile;
  unsigned mode = 0, durable_mode = 0;
  std::string bytes, durable_bytes;
  std::vector<Change> unsynced;
  Entries entries, durable_entries;  // of a folder
  std::uint64_t links = 0;
  std::int64_t mtime = 0, ctime = 0;
};

class CrashDisk {
 public:
  CrashDisk();

  Inode& at(InodeNumber number) { return inodes_.at(number); }
  const Inode& at(InodeNumber number) const { return inodes_.at(number); }
  // kNoInode where the folder has no such name.
  InodeNumber find(InodeNumber folder, const std::string& name) const;

  InodeNumber make(InodeNumber folder, const std::string& name, io::FileStat::Kind kind, unsigned mode);
  void link(InodeNumber folder, const std::string& name, InodeNumber target);
  void unlink(InodeNumber folder, const std::string& name);
  void rename(InodeNumber from_folder, const std::string& from, InodeNumber to_folder, const std::string& to);
  void write(InodeNumber file, std::uint64_t offset, const std::string& bytes);
  void resize(InodeNumber file, std::uint64_t size);
  void touch(InodeNumber file);
  void set_mode(InodeNumber file, unsigned mode);

  void sync_bytes(InodeNumber file);
  void sync_all(InodeNumber file);
  void sync_folder(InodeNumber folder);
  // What a sync that never came to its end may have made durable: the older half of what it was to.
  void sync_half_of_bytes(InodeNumber file);
  void sync_half_of_folder(InodeNumber folder);

  CrashDisk after_power_cut(Survivors survivors, std::uint64_t seed) const;

 private:
  struct EntryChange {
    std::string name;
    InodeNumber target = kNoInode;  // kNoInode: the name goes
  };
  struct FolderChange {  // of one folder, atomic
    InodeNumber folder = kNoInode;
    std::vector<EntryChange> entries;
    std::uint64_t needs = 0;  // the number of another change that must be durable first; 0: none
  };

  std::uint64_t note(FolderChange change);
  // Makes the change durable, with those of the same folder before it and those that they need.
  void commit(std::uint64_t number);
  void set_entry(InodeNumber folder, const EntryChange& entry);
  std::vector<std::uint64_t> unsynced_changes(InodeNumber folder) const;
  static std::string survive(const Inode& file, Survivors survivors, std::mt19937_64& random);

  std::map<InodeNumber, Inode> inodes_;
  std::map<std::uint64_t, FolderChange> unsynced_;  // by their numbers: in the order in which they were made
  InodeNumber next_inode_ = kRoot + 1;
  std::uint64_t next_change_ = 1;
  std::int64_t time_ = 1'700'000'000'000'000'000;
};

}  // namespace pullama::testing
