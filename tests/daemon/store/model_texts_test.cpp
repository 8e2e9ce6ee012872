#include "daemon/store/model_texts.h"

#include <doctest/doctest.h>

namespace pullama::store {
namespace {

TEST_CASE("a config says what the model is") {
  const ModelConfig config = parse_config(
      R"({"model_format":"gguf","model_family":"llama","model_type":"3.2B","file_type":"Q4_K_M","other":[1,{"a":2}]})");
  CHECK(config.format == "gguf");
  CHECK(config.family == "llama");
  CHECK(config.parameter_size == "3.2B");
  CHECK(config.quantization == "Q4_K_M");
  CHECK(config.remote_host.empty());
  const ModelConfig remote = parse_config(R"({"remote_host":"https://ollama.com:443","remote_model":"gpt-oss:120b"})");
  CHECK(remote.remote_host == "https://ollama.com:443");
  CHECK(remote.remote_model == "gpt-oss:120b");
}

TEST_CASE("what is no config says nothing") {
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("null"), std::string("[]"), std::string("{\"model_family\":7}"),
        std::string("{\"model_family\":\"\xff\"}"), deep, "{\"model_family\":\"llama\",\"x\":" + deep + "}"}) {
    CAPTURE(bad.substr(0, 60));
    CHECK(parse_config(bad).family.empty());
    CHECK(parse_parameters(bad).size() <= 1);
  }
}

TEST_CASE("parameters become text, one entry for each element of an array") {
  const auto parameters =
      parse_parameters(R"({"stop":["<|a|>","b"],"temperature":0.5,"num_ctx":4096,"f":true,"e":[]})");
  const std::vector<std::pair<std::string, std::string>> expected{
      {"f", "true"}, {"num_ctx", "4096"}, {"stop", "<|a|>"}, {"stop", "b"}, {"temperature", "0.5"}};
  CHECK(parameters == expected);
}

}  // namespace
}  // namespace pullama::store
