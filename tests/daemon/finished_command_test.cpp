#include "daemon/finished_command.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>

#include "tests/support/io/temp_dir.h"

using namespace pullama;
using namespace std::chrono_literals;

namespace {

store::HistoryEntry ended(const std::string& model, const std::string& result) {
  store::HistoryEntry entry;
  entry.job = "j7";
  entry.kind = "pull";
  entry.model = model;
  entry.models_dir = "/m";
  entry.result = result;
  entry.error = result == "failed" ? "no \x1b[2J way" : "";
  entry.total_bytes = 5;
  entry.duration_ms = 61'500;
  return entry;
}

bool holds(const std::vector<std::string>& environment, const std::string& variable) {
  return std::find(environment.begin(), environment.end(), variable) != environment.end();
}

}  // namespace

TEST_CASE("the command's environment says what it is about, printable, over what we inherited") {
  const auto environment = finished_environment(
      ended("a b;$(c):latest", "failed"), {"PATH=/bin", "PULLAMA_MODEL=forged", "NOTIFY_SOCKET=/run/x", "LISTEN_FDS=1",
                                           "WATCHDOG_USEC=1", "PULLAMA_SOCKET=/s"});
  for (const char* variable :
       {"PULLAMA_MODEL=a b;$(c):latest", "PULLAMA_RESULT=failed", "PULLAMA_ERROR=no \\x1b[2J way", "PULLAMA_JOB=j7",
        "PULLAMA_KIND=pull", "PULLAMA_MODELS_DIR=/m", "PULLAMA_TOTAL_BYTES=5", "PULLAMA_FETCHED_BYTES=0",
        "PULLAMA_SAVED_BYTES=0", "PULLAMA_RETRIES=0", "PULLAMA_SECONDS=61", "PATH=/bin", "PULLAMA_SOCKET=/s"}) {
    CAPTURE(variable);
    CHECK(holds(environment, variable));
  }
  CHECK(environment.size() == 13);
}

TEST_CASE("it runs once for each end, in their order, and not for what was cancelled") {
  const pullama::testing::TempDir dir;
  const std::string out = dir / "out";
  {
    FinishedCommand command({"/bin/sh", "-c", "echo \"$PULLAMA_MODEL $PULLAMA_RESULT\" >>\"$0\"", out}, 60s);
    command.run(ended("a", "completed"));
    command.run(ended("b", "cancelled"));
    command.run(ended("$(touch x)", "failed"));
    for (int tries = 0; tries < 3000 && (!dir.exists("out") || dir.read("out").find("failed") == std::string::npos);
         ++tries) {
      std::this_thread::sleep_for(10ms);
    }
  }
  CHECK(dir.read("out") == "a completed\n$(touch x) failed\n");
}

TEST_CASE("without a command nothing happens, and the end of the daemon waits for none") {
  FinishedCommand({}, 60s).run(ended("a", "completed"));
  FinishedCommand slow({"/bin/sleep", "600"}, 60s);
  for (int i = 0; i < 2000; ++i) slow.run(ended("a", "completed"));  // more than are kept
}
