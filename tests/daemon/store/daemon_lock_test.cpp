#include "daemon/store/daemon_lock.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "daemon/io/file_system_posix.h"
#include "daemon/store/models_dir.h"
#include "tests/support/io/temp_dir.h"

namespace pullama::store {
namespace {

const DaemonIdentity kUs{4711, 1000, "/run/user/1000/pullama/pullamad.sock"};
const DaemonIdentity kOther{12, 0, "/run/pullama/pullamad.sock"};

struct Fixture {
  testing::TempDir dir{testing::TempDir::Where::kMemory};
  std::unique_ptr<io::PosixFileSystem> fs = std::move(*io::PosixFileSystem::open(dir.path().string(), false));
  std::optional<DaemonIdentity> holder;
};

TEST_CASE_FIXTURE(Fixture, "the second daemon learns who the first one is and where it listens") {
  const auto lock = DaemonLock::acquire(*fs, kUs, holder);
  REQUIRE(lock);
  CHECK_FALSE(holder.has_value());
  CHECK(*lock->still_ours());
  const auto refused = DaemonLock::acquire(*fs, kOther, holder);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == ErrorCode::kLocked);
  CHECK(refused.error().message.find(dir.path().string()) != std::string::npos);
  CHECK(refused.error().message.find(kUs.socket) != std::string::npos);
  REQUIRE(holder.has_value());
  CHECK(*holder == kUs);
}

TEST_CASE_FIXTURE(Fixture, "the lock of a daemon that is gone is taken over, and so is its text") {
  {
    const DaemonIdentity longer{1, 2, "/" + std::string(300, 'x')};
    CHECK(DaemonLock::acquire(*fs, longer, holder));
  }
  CHECK(dir.exists(kDaemonLock));
  auto lock = DaemonLock::acquire(*fs, kOther, holder);
  REQUIRE(lock);
  CHECK(dir.read(kDaemonLock) == "{\"pid\":12,\"socket\":\"/run/pullama/pullamad.sock\",\"uid\":0,\"version\":1}\n");
  REQUIRE(lock->announce(kUs));
  CHECK_FALSE(DaemonLock::acquire(*fs, kOther, holder));
  CHECK(*holder == kUs);
}

TEST_CASE_FIXTURE(Fixture, "a daemon in another process is told apart from one of ours") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    std::optional<DaemonIdentity> met;
    auto own = io::PosixFileSystem::open(dir.path().string(), false);
    ::_exit(DaemonLock::acquire(**own, kOther, met) ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  const auto lock = DaemonLock::acquire(*fs, kUs, holder);
  REQUIRE(lock);
  const pid_t second = ::fork();
  REQUIRE(second >= 0);
  if (second == 0) {
    std::optional<DaemonIdentity> met;
    auto own = io::PosixFileSystem::open(dir.path().string(), false);
    const auto refused = DaemonLock::acquire(**own, kOther, met);
    ::_exit(!refused && met == kUs ? 0 : 1);
  }
  REQUIRE(::waitpid(second, &status, 0) == second);
  CHECK(status == 0);
}

TEST_CASE_FIXTURE(Fixture, "a text that cannot be trusted names nobody") {
  const auto lock = DaemonLock::acquire(*fs, kUs, holder);
  REQUIRE(lock);
  for (const std::string bad :
       {"", "{", "[]", "{\"pid\":1,\"uid\":2}", "{\"pid\":\"1\",\"uid\":2,\"socket\":\"/s\"}",
        "{\"pid\":1,\"uid\":-2,\"socket\":\"/s\"}", "{\"pid\":1,\"uid\":4294967296,\"socket\":\"/s\"}",
        "{\"pid\":1,\"uid\":2,\"socket\":\"relative\"}", "{\"pid\":1,\"uid\":2,\"socket\":\"\"}",
        "{\"pid\":1,\"uid\":2,\"socket\":\"/a\\u0000b\"}"}) {
    CAPTURE(bad);
    dir.write(kDaemonLock, bad);
    holder = kOther;
    const auto refused = DaemonLock::acquire(*fs, kOther, holder);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kLocked);
    CHECK_FALSE(holder.has_value());
  }
}

TEST_CASE_FIXTURE(Fixture, "a lock file that was removed by hand is lost") {
  const auto lock = DaemonLock::acquire(*fs, kUs, holder);
  REQUIRE(lock);
  std::filesystem::remove(dir / kDaemonLock);
  CHECK_FALSE(*lock->still_ours());
}

}  // namespace
}  // namespace pullama::store
