#pragma once
// What a model can do, told as Ollama tells it: from the metadata of its weights, its template and its layers. Pure.

#include <optional>
#include <string>
#include <vector>

#include "client/gguf.h"
#include "proto/results.h"

namespace pullama::client {

// In Ollama's words and order: completion, embedding, vision, audio, tools, insert, thinking. `header`: where the
// weights could be read.
std::vector<std::string> capabilities_of(const proto::StoreShow& model, const std::optional<GgufHeader>& header);

}  // namespace pullama::client
