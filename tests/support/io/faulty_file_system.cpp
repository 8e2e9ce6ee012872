#include "tests/support/io/faulty_file_system.h"

#include <cerrno>
#include <utility>

#include "daemon/io/os_error.h"

namespace pullama::testing {
namespace {

using Operation = FaultyFileSystem::Operation;

class FaultyFile final : public io::File {
 public:
  FaultyFile(FaultyFileSystem& fs, std::string path, std::unique_ptr<io::File> inner)
      : fs_(fs), path_(std::move(path)), inner_(std::move(inner)) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) override {
    if (auto go = fs_.before(Operation::kRead, path_); !go) return pullama::fail(go.error());
    return inner_->read_at(offset, into);
  }
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (auto go = fs_.before(Operation::kWrite, path_); !go) return go;
    auto written = inner_->write_at(offset, bytes);
    if (written) fs_.note_written(bytes.size());
    return written;
  }
  Status sync_data() override {
    if (auto go = fs_.before(Operation::kSync, path_); !go) return go;
    return inner_->sync_data();
  }
  Status sync_all() override {
    if (auto go = fs_.before(Operation::kSync, path_); !go) return go;
    return inner_->sync_all();
  }
  void start_write_back(std::uint64_t offset, std::uint64_t length) override {
    inner_->start_write_back(offset, length);
  }
  Status preallocate(std::uint64_t size_bytes) override {
    if (auto go = fs_.before(Operation::kPreallocate, path_); !go) return go;
    return inner_->preallocate(size_bytes);
  }
  Status truncate(std::uint64_t size_bytes) override {
    if (auto go = fs_.before(Operation::kTruncate, path_); !go) return go;
    return inner_->truncate(size_bytes);
  }
  Result<io::FileStat> stat() override {
    if (auto go = fs_.before(Operation::kStat, path_); !go) return pullama::fail(go.error());
    return inner_->stat();
  }
  Result<bool> try_lock() override {
    if (auto go = fs_.before(Operation::kLock, path_); !go) return pullama::fail(go.error());
    return inner_->try_lock();
  }
  Result<bool> nobody_else_has_it_open() override {
    if (auto go = fs_.before(Operation::kLease, path_); !go) return pullama::fail(go.error());
    return inner_->nobody_else_has_it_open();
  }
  Status set_mode(unsigned mode) override {
    if (auto go = fs_.before(Operation::kSetMode, path_); !go) return go;
    return inner_->set_mode(mode);
  }

 private:
  FaultyFileSystem& fs_;
  std::string path_;
  std::unique_ptr<io::File> inner_;
};

const char* verb(Operation operation) {
  switch (operation) {
    case Operation::kOpen:
      return "open";
    case Operation::kCreate:
      return "create";
    case Operation::kRead:
      return "read";
    case Operation::kWrite:
      return "write";
    case Operation::kSync:
    case Operation::kSyncDirectory:
      return "sync";
    case Operation::kPreallocate:
      return "preallocate";
    case Operation::kRename:
      return "rename";
    case Operation::kLink:
      return "link";
    case Operation::kRemove:
      return "remove";
    default:
      return "use";
  }
}

bool matches(const std::string& part, const std::string& path, const std::string& second) {
  return part.empty() || path.find(part) != std::string::npos || second.find(part) != std::string::npos;
}

}  // namespace

void FaultyFileSystem::fail(Operation operation, int error_number, unsigned nth, unsigned times,
                            std::string path_part) {
  const std::lock_guard lock(mutex_);
  faults_.push_back({operation, error_number, nth - 1, times, std::move(path_part)});
}

void FaultyFileSystem::set_free_bytes(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  free_bytes_ = bytes;
}

void FaultyFileSystem::on_operation(std::function<void(Operation, const std::string&)> observer) {
  const std::lock_guard lock(mutex_);
  observer_ = std::move(observer);
}

void FaultyFileSystem::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
  free_bytes_.reset();
  observer_ = nullptr;
}

std::uint64_t FaultyFileSystem::count(Operation operation, const std::string& path_part) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [key, times] : counts_) {
    if (key.first == operation && matches(path_part, key.second, {})) sum += times;
  }
  return sum;
}

std::uint64_t FaultyFileSystem::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

std::uint64_t FaultyFileSystem::bytes_written() const {
  const std::lock_guard lock(mutex_);
  return bytes_written_;
}

void FaultyFileSystem::note_written(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_written_ += bytes;
}

Status FaultyFileSystem::before(Operation operation, const std::string& path, const std::string& second_path) {
  std::function<void(Operation, const std::string&)> observer;
  int error = 0;
  {
    const std::lock_guard lock(mutex_);
    ++counts_[{operation, path}];
    observer = observer_;
    for (Fault& fault : faults_) {
      if (fault.operation != operation || fault.times == 0 || !matches(fault.path_part, path, second_path)) continue;
      if (fault.skip > 0) {
        --fault.skip;
        continue;
      }
      if (fault.times != kAlways) --fault.times;
      ++failures_;
      error = fault.error_number;
      break;
    }
  }
  if (observer) observer(operation, path);
  if (error == 0) return {};
  const std::string native = native_path(path);
  if (error == EOPNOTSUPP || error == EXDEV) return pullama::fail(io::unsupported(verb(operation), native, error));
  return pullama::fail(io::os_error(verb(operation), native, error));
}

Result<std::unique_ptr<io::File>> FaultyFileSystem::open(const std::string& path, io::OpenMode how, unsigned mode) {
  const bool may_create = how == io::OpenMode::kReadWriteCreate || how == io::OpenMode::kCreateNew;
  if (auto go = before(may_create ? Operation::kCreate : Operation::kOpen, path); !go) {
    return pullama::fail(go.error());
  }
  auto file = inner_.open(path, how, mode);
  if (!file) return file;
  return std::unique_ptr<io::File>(std::make_unique<FaultyFile>(*this, path, std::move(*file)));
}

Result<std::string> FaultyFileSystem::read_file(const std::string& path, std::uint64_t max_bytes) {
  if (auto go = before(Operation::kRead, path); !go) return pullama::fail(go.error());
  return inner_.read_file(path, max_bytes);
}

Result<io::FileStat> FaultyFileSystem::stat(const std::string& path) {
  if (auto go = before(Operation::kStat, path); !go) return pullama::fail(go.error());
  return inner_.stat(path);
}

Result<std::vector<io::DirectoryEntry>> FaultyFileSystem::list(const std::string& path) {
  if (auto go = before(Operation::kList, path); !go) return pullama::fail(go.error());
  return inner_.list(path);
}

Status FaultyFileSystem::make_directories(const std::string& path) {
  if (auto go = before(Operation::kMakeDirectories, path); !go) return go;
  return inner_.make_directories(path);
}

Status FaultyFileSystem::rename(const std::string& from, const std::string& to) {
  if (auto go = before(Operation::kRename, from, to); !go) return go;
  return inner_.rename(from, to);
}

Status FaultyFileSystem::link(const std::string& from, const std::string& to) {
  if (auto go = before(Operation::kLink, from, to); !go) return go;
  return inner_.link(from, to);
}

Status FaultyFileSystem::remove(const std::string& path) {
  if (auto go = before(Operation::kRemove, path); !go) return go;
  return inner_.remove(path);
}

Status FaultyFileSystem::remove_directory(const std::string& path) {
  if (auto go = before(Operation::kRemoveDirectory, path); !go) return go;
  return inner_.remove_directory(path);
}

Status FaultyFileSystem::sync_directory(const std::string& path) {
  if (auto go = before(Operation::kSyncDirectory, path); !go) return go;
  return inner_.sync_directory(path);
}

Status FaultyFileSystem::touch(const std::string& path) {
  if (auto go = before(Operation::kTouch, path); !go) return go;
  return inner_.touch(path);
}

Result<std::uint64_t> FaultyFileSystem::free_bytes(const std::string& path) {
  if (auto go = before(Operation::kFreeBytes, path); !go) return pullama::fail(go.error());
  {
    const std::lock_guard lock(mutex_);
    if (free_bytes_) return *free_bytes_;
  }
  return inner_.free_bytes(path);
}

Status FaultyFileSystem::reflink(const std::string& from, const std::string& to) {
  if (auto go = before(Operation::kReflink, from, to); !go) return go;
  return inner_.reflink(from, to);
}

}  // namespace pullama::testing
