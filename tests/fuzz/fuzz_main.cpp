// libFuzzer's door. One program for all targets; $FUZZ_TARGET names the one.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/targets.h"

namespace {

const pullama::fuzz::Target* target = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("FUZZ_TARGET");
  target = pullama::fuzz::find_target(name == nullptr ? "" : name);
  if (target != nullptr) return 0;
  static_cast<void>(std::fprintf(stderr, "FUZZ_TARGET must be one of:"));
  for (const auto& one : pullama::fuzz::targets()) {
    static_cast<void>(std::fprintf(stderr, " %.*s", static_cast<int>(one.name.size()), one.name.data()));
  }
  static_cast<void>(std::fprintf(stderr, "\n"));
  std::exit(1);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const void* bytes = data;
  target->run({static_cast<const char*>(bytes), size});
  return 0;
}
