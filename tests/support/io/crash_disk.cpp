#include "tests/support/io/crash_disk.h"

#include <algorithm>
#include <span>
#include <utility>

namespace pullama::testing {
namespace {

using Kind = io::FileStat::Kind;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSector = 512;

bool coin(std::mt19937_64& random) { return (random() & 1) != 0; }

void put(std::string& into, std::uint64_t offset, std::string_view bytes) {
  if (into.size() < offset + bytes.size()) into.resize(offset + bytes.size());
  into.replace(offset, bytes.size(), bytes);
}

}  // namespace

CrashDisk::CrashDisk() {
  Inode root;
  root.kind = Kind::kDirectory;
  root.mode = root.durable_mode = 0755;
  root.links = 1;
  inodes_.emplace(kRoot, std::move(root));
}

InodeNumber CrashDisk::find(InodeNumber folder, const std::string& name) const {
  const Inode::Entries& entries = at(folder).entries;
  const auto found = entries.find(name);
  return found == entries.end() ? kNoInode : found->second;
}

void CrashDisk::set_entry(InodeNumber folder, const EntryChange& entry) {
  Inode& inode = at(folder);
  inode.mtime = inode.ctime = ++time_;
  if (const InodeNumber before = find(folder, entry.name); before != kNoInode) {
    --at(before).links;
    at(before).ctime = time_;
    inode.entries.erase(entry.name);
  }
  if (entry.target == kNoInode) return;
  ++at(entry.target).links;
  at(entry.target).ctime = time_;
  inode.entries[entry.name] = entry.target;
}

std::uint64_t CrashDisk::note(FolderChange change) {
  for (const EntryChange& entry : change.entries) set_entry(change.folder, entry);
  unsynced_.emplace(next_change_, std::move(change));
  return next_change_++;
}

InodeNumber CrashDisk::make(InodeNumber folder, const std::string& name, Kind kind, unsigned mode) {
  Inode inode;
  inode.kind = kind;
  inode.mode = inode.durable_mode = mode;
  inode.mtime = inode.ctime = ++time_;
  const InodeNumber number = next_inode_++;
  inodes_.emplace(number, std::move(inode));
  link(folder, name, number);
  return number;
}

void CrashDisk::link(InodeNumber folder, const std::string& name, InodeNumber target) {
  note({folder, {{name, target}}, 0});
}

void CrashDisk::unlink(InodeNumber folder, const std::string& name) { note({folder, {{name, kNoInode}}, 0}); }

void CrashDisk::rename(InodeNumber from_folder, const std::string& from, InodeNumber to_folder, const std::string& to) {
  const InodeNumber moved = find(from_folder, from);
  if (moved == find(to_folder, to)) return;  // two names of one file: POSIX does nothing
  if (from_folder == to_folder) {
    note({from_folder, {{from, kNoInode}, {to, moved}}, 0});
    return;
  }
  const std::uint64_t added = note({to_folder, {{to, moved}}, 0});
  note({from_folder, {{from, kNoInode}}, added});
}

void CrashDisk::write(InodeNumber file, std::uint64_t offset, const std::string& bytes) {
  if (bytes.empty()) return;
  Inode& inode = at(file);
  put(inode.bytes, offset, bytes);
  inode.unsynced.push_back({offset, bytes});
  inode.mtime = inode.ctime = ++time_;
}

void CrashDisk::resize(InodeNumber file, std::uint64_t size) {
  Inode& inode = at(file);
  inode.bytes.resize(size);
  inode.unsynced.push_back({size, {}});
  inode.mtime = inode.ctime = ++time_;
}

void CrashDisk::touch(InodeNumber file) { at(file).mtime = at(file).ctime = ++time_; }

void CrashDisk::set_mode(InodeNumber file, unsigned mode) {
  at(file).mode = mode;
  at(file).ctime = ++time_;
}

void CrashDisk::sync_bytes(InodeNumber file) {
  Inode& inode = at(file);
  inode.durable_bytes = inode.bytes;
  inode.unsynced.clear();
}

void CrashDisk::sync_all(InodeNumber file) {
  sync_bytes(file);
  at(file).durable_mode = at(file).mode;
}

void CrashDisk::sync_folder(InodeNumber folder) {
  if (const auto changes = unsynced_changes(folder); !changes.empty()) commit(changes.back());
  at(folder).durable_mode = at(folder).mode;
}

void CrashDisk::sync_half_of_folder(InodeNumber folder) {
  if (const auto changes = unsynced_changes(folder); changes.size() > 1) commit(changes[changes.size() / 2 - 1]);
}

std::vector<std::uint64_t> CrashDisk::unsynced_changes(InodeNumber folder) const {
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, change] : unsynced_) {
    if (change.folder == folder) numbers.push_back(number);
  }
  return numbers;
}

void CrashDisk::sync_half_of_bytes(InodeNumber file) {
  Inode& inode = at(file);
  const auto half = static_cast<std::ptrdiff_t>((inode.unsynced.size() + 1) / 2);
  for (const Inode::Change& change : std::span(inode.unsynced).first(static_cast<std::size_t>(half))) {
    if (change.bytes.empty()) {
      inode.durable_bytes.resize(change.offset);
    } else {
      put(inode.durable_bytes, change.offset, change.bytes);
    }
  }
  inode.unsynced.erase(inode.unsynced.begin(), inode.unsynced.begin() + half);
}

void CrashDisk::commit(std::uint64_t number) {
  const auto found = unsynced_.find(number);
  if (found == unsynced_.end()) return;
  const InodeNumber folder = found->second.folder;
  while (true) {
    const auto first = std::find_if(unsynced_.begin(), unsynced_.end(),
                                    [&](const auto& change) { return change.second.folder == folder; });
    if (first == unsynced_.end() || first->first > number) return;
    const std::uint64_t current = first->first;
    const FolderChange change = std::move(first->second);
    unsynced_.erase(first);
    if (change.needs != 0) commit(change.needs);
    for (const EntryChange& entry : change.entries) {
      if (entry.target == kNoInode) {
        at(folder).durable_entries.erase(entry.name);
      } else {
        at(folder).durable_entries[entry.name] = entry.target;
      }
    }
    if (current == number) return;
  }
}

std::string CrashDisk::survive(const Inode& file, Survivors survivors, std::mt19937_64& random) {
  if (survivors == Survivors::kEverything) return file.bytes;
  std::string bytes = file.durable_bytes;
  if (survivors == Survivors::kOnlySynced) return bytes;
  for (const Inode::Change& change : file.unsynced) {
    if (change.bytes.empty()) {
      if (coin(random)) bytes.resize(change.offset);
      continue;
    }
    const std::size_t piece = change.bytes.size() < 2 * kPage ? kSector : kPage;
    std::size_t done = 0;
    while (done < change.bytes.size()) {
      const std::size_t to_boundary = piece - (change.offset + done) % piece;
      const std::size_t length = std::min(to_boundary, change.bytes.size() - done);
      if (coin(random)) put(bytes, change.offset + done, std::string_view(change.bytes).substr(done, length));
      done += length;
    }
  }
  return bytes;
}

CrashDisk CrashDisk::after_power_cut(Survivors survivors, std::uint64_t seed) const {
  std::mt19937_64 random(seed);
  CrashDisk left = *this;
  if (survivors == Survivors::kEverything) {
    while (!left.unsynced_.empty()) left.commit(left.unsynced_.begin()->first);
  } else if (survivors == Survivors::kRandom) {
    std::map<InodeNumber, std::vector<std::uint64_t>> by_folder;
    for (const auto& [number, change] : unsynced_) by_folder[change.folder].push_back(number);
    for (const auto& [folder, numbers] : by_folder) {
      const std::size_t kept = random() % (numbers.size() + 1);
      if (kept > 0) left.commit(numbers[kept - 1]);
    }
  }
  left.unsynced_.clear();

  // What no name leads to any more is gone.
  std::vector<InodeNumber> to_visit{kRoot};
  std::map<InodeNumber, std::uint64_t> links{{kRoot, 1}};
  while (!to_visit.empty()) {
    const InodeNumber number = to_visit.back();
    to_visit.pop_back();
    Inode& inode = left.at(number);
    inode.entries = inode.durable_entries;
    inode.mode = inode.durable_mode =
        survivors == Survivors::kOnlySynced || (survivors == Survivors::kRandom && coin(random)) ? inode.durable_mode
                                                                                                 : inode.mode;
    inode.bytes = survive(inode, survivors, random);
    inode.durable_bytes = inode.bytes;
    inode.unsynced.clear();
    for (const auto& [name, target] : inode.entries) {
      if (links[target]++ == 0) to_visit.push_back(target);
    }
  }
  std::erase_if(left.inodes_, [&](const auto& entry) { return !links.contains(entry.first); });
  for (auto& [number, inode] : left.inodes_) inode.links = links.at(number);
  return left;
}

}  // namespace pullama::testing
