#include <fmt/core.h>
#include <sys/prctl.h>

#include <csignal>
#include <cstdio>

#include "daemon/courier_main.h"
#include "daemon/engine/courier.h"
#include "daemon/io/file_system_posix.h"
#include "daemon/process.h"
#include "daemon/registry/http_client.h"

namespace pullama {
namespace {

constexpr std::chrono::seconds kFirstWord{10};

}  // namespace

int run_courier() {
  harden_process();
  // Who ends the daemon politely may tell all its processes: the daemon knows what becomes of this one.
  for (const int number : {SIGTERM, SIGINT}) {
    if (::signal(number, SIG_IGN) == SIG_ERR) return 1;
  }
  ::prctl(PR_SET_NAME, "pullama-courier");
  io::MessageChannel channel{io::Descriptor(io::MessageChannel::kCompanionsEnd)};
  std::string message;
  const bool heard = channel.receive(message, kFirstWord) == io::MessageChannel::Got::kMessage;
  const auto hello = engine::decode_hello(heard ? message : std::string());
  if (!hello) {
    fmt::print(stderr, "pullamad: --courier is what pullamad starts for itself\n");
    return 1;
  }
  const auto fs = io::PosixFileSystem::open(hello->models_dir, false);
  if (!fs) return 1;
  registry::CurlHttp http(hello->network);
  engine::serve_courier(channel, *hello, **fs, http);
  return 0;
}

}  // namespace pullama
