#include "daemon/child_process.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

using namespace pullama;
using namespace std::chrono_literals;

namespace {

Result<ChildEnd> shell(const std::string& script, std::chrono::milliseconds limit = 60s, std::stop_token stop = {},
                       std::vector<std::string> environment = {}) {
  return run_child({"/bin/sh", "-c", script}, environment, limit, stop);
}

}  // namespace

TEST_CASE("exit code, output and environment of a child are as they should be") {
  const auto end = shell("echo \"$WHAT\"; echo bad >&2; exit 3", 60s, {}, {"WHAT=a $(b)"});
  REQUIRE(end.has_value());
  CHECK(end->exit_code == 3);
  CHECK(end->output == "a $(b)\nbad\n");
  CHECK_FALSE(end->timed_out);
}

TEST_CASE("words reach the child as they are, without a shell between") {
  const auto end = run_child({"printf", "%s|", "a b", "$HOME", "*", ""}, {}, 60s, {});
  REQUIRE(end.has_value());
  CHECK(end->output == "a b|$HOME|*||");
}

TEST_CASE("none of our descriptors is open in it, nor is a signal of ours ignored") {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  REQUIRE(leaked >= 3);
  const auto before = signal(SIGPIPE, SIG_IGN);
  const auto end = shell("ls /proc/$$/fd; readlink /proc/$$/fd/0; pwd; grep SigIgn /proc/$$/status");
  signal(SIGPIPE, before);
  ::close(leaked);
  REQUIRE(end.has_value());
  CAPTURE(end->output);
  // No pipe to bring them on one line: for a moment the shell itself has both its ends.
  const std::string expected = "0\n1\n2\n/dev/null\n/\nSigIgn:\t";
  REQUIRE(end->output.rfind(expected, 0) == 0);
  constexpr unsigned long long kOfTheCLibrary = 3ULL << 31U;  // signals 32 and 33
  CHECK((std::stoull(end->output.substr(expected.size()), nullptr, 16) & ~kOfTheCLibrary) == 0);
}

TEST_CASE("a child that takes too long is ended with all that it started, and reaped") {
  const auto end = shell("trap '' TERM; sleep 600 & echo $! $$; wait; sleep 600", 50ms);
  REQUIRE(end.has_value());
  CHECK(end->timed_out);
  CHECK(end->signal == SIGKILL);
  int sleeper = 0, leader = 0;
  REQUIRE(std::sscanf(end->output.c_str(), "%d %d", &sleeper, &leader) == 2);
  CHECK(::kill(leader, 0) == -1);
  CHECK(errno == ESRCH);
}

TEST_CASE("a stop ends it as well") {
  std::stop_source stop;
  stop.request_stop();
  const auto end = shell("sleep 600", 60s, stop.get_token());
  REQUIRE_FALSE(end.has_value());
  CHECK(end.error().code == ErrorCode::kCancelled);
}

TEST_CASE("much output is read to its end, the beginning is kept") {
  const auto end = shell("head -c 1000000 /dev/zero | tr '\\0' x");
  REQUIRE(end.has_value());
  CHECK(end->exit_code == 0);
  CHECK(end->output == std::string(4096, 'x'));
}

TEST_CASE("what a child leaves in the background is not waited for") {
  const auto end = shell("sleep 1 & echo done");
  REQUIRE(end.has_value());
  CHECK(end->output == "done\n");
}

TEST_CASE("a program that is not there is said") {
  const auto end = run_child({"/no/such/program"}, {}, 60s, {});
  REQUIRE_FALSE(end.has_value());
  CHECK(end.error().code == ErrorCode::kNotFound);
  CHECK(end.error().message.find("/no/such/program") != std::string::npos);
}
