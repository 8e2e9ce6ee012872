#pragma once
// What each kernel does in its own way; one source file a system, chosen by CMake. Returns are errno values (0: done),
// so that the callers word the error.

#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "daemon/io/descriptor_posix.h"

namespace pullama::io::system_calls {

// Reserves blocks and grows the file; EOPNOTSUPP where the file system cannot. Never writes zeros instead.
int preallocate(int fd, std::uint64_t size_bytes);
// fdatasync: the contents and what is needed to read them.
int sync_data(int fd);
// fsync that also reaches the disk's platter.
int sync_all(int fd);
void start_write_back(int fd, std::uint64_t offset, std::uint64_t length);
// `alone` when nobody else has the file open. An errno where the question cannot be answered.
int open_by_us_alone(int fd, bool& alone);
// Makes the empty file `to` share the blocks of `from`.
int share_blocks(int from, int to);
// Opens a folder below `folder` in one call, if there is no symlink on the way and the kernel can say so. Any failure
// means no more than that it has to be done step by step.
Descriptor open_folder_beneath(int folder, const std::string& path);
// Opens the link itself (or whatever lies there) without following it, for nothing but looking at it.
Descriptor open_entry(int folder, const std::string& name);
// What the link opened by open_entry says; errno on failure.
int read_link(int link, std::string& text);
std::chrono::nanoseconds since_boot();

std::int64_t mtime_ns(const struct ::stat& from);
std::int64_t ctime_ns(const struct ::stat& from);

}  // namespace pullama::io::system_calls
