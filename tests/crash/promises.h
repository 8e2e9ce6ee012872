#pragma once
// Looks at a models dir as a crash left it and says which promises of daemon/DESIGN.md it breaks. It believes nothing:
// every blob is hashed, every byte that a checkpoint claims is compared with what the registry has.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/digest.h"
#include "common/model_name.h"
#include "daemon/io/file_system.h"

namespace pullama::testing {

// What the disk may hold.
struct Truth {
  ModelName model;
  std::vector<std::string> manifests;      // any one of these may be installed
  std::map<Digest, std::string> contents;  // of every blob that they name
};

// What a pull said before the power went: durable by then, or it was a lie.
struct Said {
  std::map<Digest, std::uint64_t> saved;  // bytes that a checkpoint covers
  std::set<Digest> finished;
  bool installed = false;
};

// A sentence for each promise that is broken; none: all hold.
std::vector<std::string> broken_promises(io::FileSystem& fs, const Truth& truth, const Said& said = {});

// The bytes that the next pull need not fetch: of finished blobs, and of partials whose checkpoint counts.
std::uint64_t safe_bytes(io::FileSystem& fs, const Truth& truth);

// Every name below `.` with its content; folders end in '/'.
std::map<std::string, std::string> tree(io::FileSystem& fs);
// What differs between two of them, in words; empty where nothing does.
std::string difference(const std::map<std::string, std::string>& expected,
                       const std::map<std::string, std::string>& found);

}  // namespace pullama::testing
