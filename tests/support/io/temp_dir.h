#pragma once
// A folder of its own for a test, removed with all that is in it.

#include <filesystem>
#include <string>

namespace pullama::testing {

class TempDir {
 public:
  enum class Where {
    kDisk,
    kMemory,  // /dev/shm where there is one: syncing costs nothing there
  };
  explicit TempDir(Where where = Where::kDisk);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  // Straight past the code under test.
  void write(const std::string& name, const std::string& content) const;
  std::string read(const std::string& name) const;
  bool exists(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

}  // namespace pullama::testing
