#include "client/capabilities.h"

#include <doctest/doctest.h>

using namespace pullama;
using namespace pullama::client;

namespace {

using Words = std::vector<std::string>;

proto::StoreShow model_with(const std::string& text, const std::string& layer = {}) {
  proto::StoreShow model;
  model.template_text = text;
  if (!layer.empty()) {
    proto::StoredLayer stored;
    stored.media_type = layer;
    model.layers.push_back(stored);
  }
  return model;
}

GgufHeader header(bool pools, bool sees) {
  GgufHeader made;
  made.pools = pools;
  made.sees = sees;
  return made;
}

}  // namespace

TEST_CASE("capabilities come from the weights, the template and the layers, in Ollama's order") {
  CHECK(capabilities_of(model_with(""), std::nullopt).empty());
  CHECK(capabilities_of(model_with("{{ .Prompt }}"), header(false, false)) == Words{"completion"});
  CHECK(capabilities_of(model_with(""), header(true, false)) == Words{"embedding"});
  CHECK(capabilities_of(model_with("{{ if .Tools }}x{{ end }}{{ range .Messages }}{{ .Thinking }}{{ end }}"),
                        header(false, true)) == Words{"completion", "vision", "tools", "thinking"});
  CHECK(capabilities_of(model_with("{{- .Prompt }}{{ .Suffix }}"), header(false, false)) ==
        Words{"completion", "insert"});
  CHECK(capabilities_of(model_with("", "application/vnd.ollama.image.projector"), header(false, false)) ==
        Words{"completion", "vision"});
}

TEST_CASE("a word in the text of a template, or a longer one, is no variable") {
  CHECK(capabilities_of(model_with("Use .Tools wisely {{ .ToolsUsed }} {{ .Prompt }"), std::nullopt).empty());
  CHECK(capabilities_of(model_with("{{ unclosed .Tools"), std::nullopt) == Words{"tools"});
}
