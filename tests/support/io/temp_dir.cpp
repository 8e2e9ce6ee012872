#include "tests/support/io/temp_dir.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>

namespace pullama::testing {

TempDir::TempDir(Where where) {
  const std::filesystem::path memory = "/dev/shm";
  const bool in_memory = where == Where::kMemory && ::access(memory.c_str(), W_OK | X_OK) == 0;
  const std::filesystem::path above = in_memory ? memory : std::filesystem::temp_directory_path();
  std::string pattern = (above / "pullama-test-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::system_error(errno, std::generic_category(), pattern);
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a test may have taken its own rights away; the rest is left to the system's cleaner
  std::filesystem::remove_all(path_, ignored);
}

void TempDir::write(const std::string& name, const std::string& content) const {
  std::filesystem::create_directories((path_ / name).parent_path());
  std::ofstream file(path_ / name, std::ios::binary | std::ios::trunc);
  file << content;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + name);
}

std::string TempDir::read(const std::string& name) const {
  std::ifstream file(path_ / name, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool TempDir::exists(const std::string& name) const { return std::filesystem::exists(symlink_status(path_ / name)); }

}  // namespace pullama::testing
