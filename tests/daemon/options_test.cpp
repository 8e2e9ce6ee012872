#include "daemon/options.h"

#include <doctest/doctest.h>

#include <map>

using namespace pullama;

namespace {

using Variables = std::map<std::string, std::string>;

tl::expected<Options, EarlyExit> parse(std::vector<std::string> arguments,
                                       const Variables& variables = {{"HOME", "/h"}}) {
  return parse_options(
      std::move(arguments),
      [&](const std::string& name) -> std::optional<std::string> {
        const auto it = variables.find(name);
        return it == variables.end() ? std::nullopt : std::optional(it->second);
      },
      "/here", "/passwd");
}

}  // namespace

TEST_CASE("the models dir is the option's, the variable's, or below the home folder") {
  struct Row {
    std::vector<std::string> arguments;
    Variables variables;
    const char* models_dir;
  };
  const Row rows[] = {
      {{}, {{"HOME", "/h"}}, "/h/.ollama/models"},
      {{}, {}, "/passwd/.ollama/models"},
      {{}, {{"HOME", "/h"}, {"OLLAMA_MODELS", ""}}, "/h/.ollama/models"},
      {{}, {{"HOME", "/h"}, {"OLLAMA_MODELS", " \"/m\" "}}, "/m"},
      {{}, {{"HOME", "/h"}, {"OLLAMA_MODELS", " '\"/m n'"}}, "/m n"},
      {{}, {{"HOME", "/h"}, {"OLLAMA_MODELS", " \"\" "}}, "/h/.ollama/models"},
      {{"--models-dir", "/o/"}, {{"OLLAMA_MODELS", "/m"}}, "/o"},
      {{"--models-dir=rel/../x"}, {}, "/here/x"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.models_dir);
    const auto options = parse(row.arguments, row.variables);
    REQUIRE(options.has_value());
    CHECK(options->models_dir == row.models_dir);
  }
}

TEST_CASE("flags are read in both forms") {
  const auto options = parse({"--socket=/s", "--on-demand", "--log-level", "debug", "--idle-limit=1500ms"});
  REQUIRE(options.has_value());
  CHECK(options->socket == "/s");
  CHECK(options->on_demand);
  CHECK(options->log_level == "debug");
  CHECK(options->idle_limit == std::chrono::milliseconds(1500));
  CHECK(parse({"--socket", "s"})->socket == "/here/s");
  CHECK(parse({})->idle_limit == std::chrono::minutes(10));
}

TEST_CASE("a wrong word is one line that names it, exit 1") {
  const std::vector<std::string> wrong[] = {{"--sockets", "/s"},      {"extra"},
                                            {"--log-level", "loud"},  {"--socket"},
                                            {"--socket", ""},         {"--models-dir", ""},
                                            {"--idle-limit", "soon"}, {"--log-level", "a\nb"}};
  for (const auto& arguments : wrong) {
    CAPTURE(arguments[0]);
    const auto options = parse(arguments);
    REQUIRE_FALSE(options.has_value());
    CHECK(options.error().code == 1);
    const std::string& text = options.error().text;
    CHECK(text.starts_with("pullamad: "));
    CHECK(text.find('\n') == text.size() - 1);
    if (!arguments[0].starts_with("--log")) CHECK(text.find(arguments[0]) != std::string::npos);
  }
}

TEST_CASE("help and version leave with 0") {
  CHECK(parse({"--help"}).error().code == 0);
  CHECK(parse({"--help"}).error().text.find("--on-demand") != std::string::npos);
  CHECK(parse({"--help"}).error().text.find("--idle-limit") == std::string::npos);
  CHECK(parse({"--version"}).error().text.starts_with("pullamad "));
}

TEST_CASE("without a home folder the models dir must be named") {
  const auto nowhere = parse_options(
      {}, [](const std::string&) { return std::nullopt; }, "/here", "");
  REQUIRE_FALSE(nowhere.has_value());
  CHECK(nowhere.error().text.find("--models-dir") != std::string::npos);
}

TEST_CASE("unused blobs are removed unless OLLAMA_NOPRUNE says otherwise, read as Ollama reads it") {
  for (const char* on : {"1", "t", "true", "TRUE", "yes", " \"true\" ", "no"}) {
    CAPTURE(on);
    CHECK_FALSE(parse({}, {{"HOME", "/h"}, {"OLLAMA_NOPRUNE", on}})->prune);
  }
  for (const char* off : {"", "0", "f", "false", "False", " 'FALSE' "}) {
    CAPTURE(off);
    CHECK(parse({}, {{"HOME", "/h"}, {"OLLAMA_NOPRUNE", off}})->prune);
  }
  CHECK(parse({})->prune);
}
