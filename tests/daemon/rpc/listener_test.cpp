#include "daemon/rpc/listener.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/daemon/rpc/socket_client.h"

using namespace pullama;
using namespace pullama::rpc;
using namespace pullama::rpc::test;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777U;
}

Endpoint in_runtime_dir(std::string path) { return {std::move(path), EndpointSource::kRuntimeDir}; }
Endpoint in_tmp(std::string path) { return {std::move(path), EndpointSource::kTmp}; }

ErrorCode refusal(const Result<Listener>& result) {
  REQUIRE_FALSE(result.has_value());
  CHECK_FALSE(result.error().message.empty());
  return result.error().code;
}

}  // namespace

TEST_CASE("a socket is bound with mode 0600 and its name and lock go when the listener goes") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  {
    const auto listener = Listener::bind(chosen(path));
    REQUIRE(listener.has_value());
    CHECK(listener->path() == path);
    CHECK(mode_of(path) == 0600);
    const int fd = connect_to(path);
    CHECK(fd >= 0);
    ::close(fd);
  }
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("the system service's socket is 0660 and its group's") {
  const TempDir dir;
  const auto listener = Listener::bind(chosen(dir / "d.sock"), ::getegid());
  REQUIRE(listener.has_value());
  CHECK(mode_of(dir / "d.sock") == 0660);
}

TEST_CASE("a missing folder is made 0700, but not one that the user named") {
  const TempDir dir;
  CHECK(refusal(Listener::bind(chosen(dir / "new/d.sock"))) == ErrorCode::kNotFound);
  const auto listener = Listener::bind(in_runtime_dir(dir / "new/d.sock"));
  REQUIRE(listener.has_value());
  CHECK(mode_of(dir / "new") == 0700);
  CHECK(refusal(Listener::bind(in_runtime_dir(dir / "a/b/d.sock"))) == ErrorCode::kNotFound);
}

TEST_CASE("a folder that is a symbolic link is refused") {
  const TempDir dir;
  fs::create_directory(dir / "real");
  fs::create_directory_symlink(dir / "real", dir / "link");
  for (const auto source : {EndpointSource::kOption, EndpointSource::kRuntimeDir, EndpointSource::kTmp}) {
    CHECK(refusal(Listener::bind({dir / "link/d.sock", source})) == ErrorCode::kPermission);
  }
  CHECK(fs::is_empty(dir / "real"));
}

TEST_CASE("a folder that others may write is refused, and below /tmp one that is not 0700") {
  const TempDir dir;
  struct Row {
    mode_t mode;
    bool chosen, tmp;
  };
  for (const Row row : {Row{0700, true, true},
                        {0755, true, false},
                        {0711, true, false},
                        {0775, false, false},
                        {0722, false, false},
                        {0777, false, false}}) {
    CAPTURE(row.mode);
    REQUIRE(::chmod(dir.path().c_str(), row.mode) == 0);
    CHECK(Listener::bind(chosen(dir / "d.sock")).has_value() == row.chosen);
    CHECK(Listener::bind(in_tmp(dir / "d.sock")).has_value() == row.tmp);
  }
  REQUIRE(::chmod(dir.path().c_str(), 0700) == 0);
}

TEST_CASE("a folder of another user is refused") {
  if (::geteuid() == 0) {
    const TempDir dir;
    REQUIRE(::chown(dir.path().c_str(), 65534, 65534) == 0);
    CHECK(refusal(Listener::bind(chosen(dir / "d.sock"))) == ErrorCode::kPermission);
    CHECK(refusal(Listener::bind(in_tmp(dir / "d.sock"))) == ErrorCode::kPermission);
  } else {
    CHECK(refusal(Listener::bind(chosen("/etc/d.sock"))) == ErrorCode::kPermission);
  }
}

TEST_CASE("a path that no socket can have is refused") {
  const TempDir dir;
  for (const std::string& path : {std::string("relative.sock"), std::string(), dir / "", dir / std::string(200, 'x'),
                                  dir / std::string("nul\0byte", 8)}) {
    CHECK(refusal(Listener::bind(chosen(path))) == ErrorCode::kInvalidArgument);
  }
}

TEST_CASE("the socket of a dead daemon is replaced") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(dead);
  std::ofstream(path + ".lock") << "";
  const auto listener = Listener::bind(chosen(path));
  REQUIRE(listener.has_value());
  const int fd = connect_to(path);
  CHECK(fd >= 0);
  ::close(fd);
}

TEST_CASE("the socket of a living daemon is left alone and the error names it") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  const auto first = Listener::bind(chosen(path));
  REQUIRE(first.has_value());
  const auto second = Listener::bind(chosen(path));
  CHECK(refusal(second) == ErrorCode::kLocked);
  CHECK(second.error().message.find(path) != std::string::npos);
  CHECK(second.error().message.find(std::to_string(::getpid())) != std::string::npos);
  CHECK(fs::exists(path));
}

TEST_CASE("a socket that somebody serves without our lock is left alone too") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  const auto first = Listener::bind(chosen(path));
  REQUIRE(first.has_value());
  fs::remove(path + ".lock");
  CHECK(refusal(Listener::bind(chosen(path))) == ErrorCode::kLocked);
  const int fd = connect_to(path);
  CHECK(fd >= 0);
  ::close(fd);
}

TEST_CASE("a daemon that is just starting, with the lock and no socket yet, wins") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  const int lock = ::open((path + ".lock").c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  CHECK(refusal(Listener::bind(chosen(path))) == ErrorCode::kLocked);
  CHECK_FALSE(fs::exists(path));
  ::close(lock);
  CHECK(Listener::bind(chosen(path)).has_value());
}

TEST_CASE("what is no socket is never removed") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  SUBCASE("a file") { std::ofstream(path) << "precious"; }
  SUBCASE("a symbolic link") { fs::create_symlink("/nowhere", path); }
  SUBCASE("a folder") { fs::create_directory(path); }
  CHECK(refusal(Listener::bind(chosen(path))) == ErrorCode::kInvalidArgument);
  CHECK(fs::symlink_status(path).type() != fs::file_type::not_found);
}

TEST_CASE("a planted lock that is a symbolic link is not followed") {
  const TempDir dir;
  fs::create_symlink(dir / "victim", dir / "d.sock.lock");
  CHECK_FALSE(Listener::bind(chosen(dir / "d.sock")).has_value());
  CHECK_FALSE(fs::exists(dir / "victim"));
}

TEST_CASE("only our own socket is unlinked at the end") {
  const TempDir dir;
  const std::string path = dir / "d.sock";
  {
    auto first = Listener::bind(chosen(path));
    REQUIRE(first.has_value());
    fs::remove(path);
    std::ofstream(path) << "somebody else's";
  }
  CHECK(fs::exists(path));
  CHECK_FALSE(fs::exists(path + ".lock"));
}
