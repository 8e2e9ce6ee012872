#include "client/capabilities.h"

#include <algorithm>

namespace pullama::client {
namespace {

constexpr std::string_view kProjector = "application/vnd.ollama.image.projector";

bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

// A variable of a Go template: ".Tools", within {{ }}, not the beginning of a longer word.
bool uses(std::string_view text, std::string_view variable) {
  for (std::size_t open = text.find("{{"); open != std::string_view::npos; open = text.find("{{", open + 2)) {
    const std::size_t close = std::min(text.find("}}", open), text.size());
    const std::string_view action = text.substr(open, close - open);
    for (std::size_t at = action.find(variable); at != std::string_view::npos; at = action.find(variable, at + 1)) {
      const std::size_t end = at + variable.size();
      if (end == action.size() || !is_word(action[end])) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> capabilities_of(const proto::StoreShow& model, const std::optional<GgufHeader>& header) {
  std::vector<std::string> words;
  if (header) words.emplace_back(header->pools ? "embedding" : "completion");
  const bool projects = std::any_of(model.layers.begin(), model.layers.end(),
                                    [](const proto::StoredLayer& layer) { return layer.media_type == kProjector; });
  if (projects || (header && header->sees)) words.emplace_back("vision");
  if (header && header->hears) words.emplace_back("audio");
  const std::string& text = model.template_text;
  if (uses(text, ".Tools")) words.emplace_back("tools");
  if (uses(text, ".Suffix")) words.emplace_back("insert");
  if (uses(text, ".Thinking") || uses(text, ".ThinkLevel") || uses(text, ".Think")) words.emplace_back("thinking");
  return words;
}

}  // namespace pullama::client
