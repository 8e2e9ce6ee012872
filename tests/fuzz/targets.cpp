#include "tests/fuzz/targets.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace pullama::fuzz {

std::span<const Target> targets() {
  static constexpr std::array all{
      Target{"line_codec", line_codec},
      Target{"jsonrpc", jsonrpc},
      Target{"model_name", model_name},
      Target{"manifest", manifest},
      Target{"chunksums", chunksums},
      Target{"challenge", challenge},
      Target{"key_file", key_file},
      Target{"content_range", content_range},
      Target{"redirect", redirect},
      Target{"response_head", response_head},
      Target{"token", token},
      Target{"error_text", error_text},
      Target{"retry_after", retry_after},
      Target{"checkpoint", checkpoint},
      Target{"checkpoint_original", checkpoint_original},
      Target{"checkpoint_unsynced", checkpoint_unsynced},
      Target{"ollama_partial", ollama_partial},
      Target{"queue", queue},
      Target{"config", config},
  };
  return all;
}

const Target* find_target(std::string_view name) {
  for (const Target& target : targets()) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

void must(bool holds, const char* what) {
  if (holds) return;
  static_cast<void>(std::fprintf(stderr, "broken: %s\n", what));
  std::abort();
}

std::string_view take_line(std::string_view& input) {
  const auto end = input.find('\n');
  const auto line = input.substr(0, end);
  input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
  return line;
}

}  // namespace pullama::fuzz
