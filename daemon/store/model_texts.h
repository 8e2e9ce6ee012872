#pragma once
// The small JSON documents of a model, as a registry or another program wrote them: nothing in them is trusted, and
// what is not as it should be counts as not said. Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pullama::store {

// The config blob: {"model_format", "model_family", "model_type", "file_type", "remote_host", "remote_model", …}.
struct ModelConfig {
  std::string format, family, parameter_size, quantization;
  std::string remote_host, remote_model;
};
ModelConfig parse_config(std::string_view text);

// The params blob, a JSON object: values as text, one entry for each element of an array ("stop" has several).
std::vector<std::pair<std::string, std::string>> parse_parameters(std::string_view text);

}  // namespace pullama::store
