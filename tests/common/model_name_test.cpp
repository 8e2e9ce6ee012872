#include "common/model_name.h"

#include <doctest/doctest.h>

#include <vector>

using pullama::ModelName;

namespace {

std::string repeat(char c, std::size_t count) { return std::string(count, c); }

}  // namespace

TEST_CASE("names mean what they mean to Ollama") {
  struct Row {
    std::string text, full, scheme = "https";
  };
  const std::vector<Row> rows{
      {"llama3.2", "registry.ollama.ai/library/llama3.2:latest"},
      {"user/m:7b", "registry.ollama.ai/user/m:7b"},
      {"localhost:5000/ns/m", "localhost:5000/ns/m:latest"},
      {"localhost:5000/ns/m:t", "localhost:5000/ns/m:t"},
      {"http://h:1/n/m:t", "h:1/n/m:t", "http"},
      {"https://hf.co/u/r:Q4_K_M", "hf.co/u/r:Q4_K_M"},

      {"Mixed/Case:Tag", "registry.ollama.ai/Mixed/Case:Tag"},
      {"_m", "registry.ollama.ai/library/_m:latest"},
      {"0/1:2", "registry.ollama.ai/0/1:2"},
      {"a-b_c/m-1.2_3:t-1.2_3", "registry.ollama.ai/a-b_c/m-1.2_3:t-1.2_3"},
      {"_h.x:-1/n/m", "_h.x:-1/n/m:latest"},
      {"h/n/model.gguf:file.gguf", "h/n/model.gguf:file.gguf"},
      {"m..x", "registry.ollama.ai/library/m..x:latest"},
      {repeat('m', 80), "registry.ollama.ai/library/" + repeat('m', 80) + ":latest"},
      {repeat('n', 80) + "/m:" + repeat('t', 80), "registry.ollama.ai/" + repeat('n', 80) + "/m:" + repeat('t', 80)},
      {repeat('h', 350) + "/n/m", repeat('h', 350) + "/n/m:latest"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto name = ModelName::parse(row.text);
    REQUIRE(name);
    CHECK(name->full() == row.full);
    CHECK(name->scheme() == row.scheme);
  }
}

TEST_CASE("what is no name is refused, with the wrong part and the right form") {
  struct Row {
    std::string text, wrong;
  };
  const std::vector<Row> rows{
      {"", "it is empty"},
      {"m:", "the tag is missing"},
      {":t", "the model is missing"},
      {"/", "the namespace is missing"},
      {"/m", "the namespace is missing"},
      {"n/", "the model is missing"},
      {"n/:t", "the model is missing"},
      {"/n/m", "the host is missing"},
      {"//", "the host is missing"},
      {"h//m", "the namespace is missing"},
      {"h/n/", "the model is missing"},
      {"http:///n/m", "the host is missing"},
      {"://h/n/m", "'://' is neither http:// nor https://"},
      {"ht tp://h/n/m", "'ht tp://' is neither http:// nor https://"},
      {"ftp://h/n/m", "'ftp://' is neither http:// nor https://"},
      {"https+insecure://h/n/m", "'https+insecure://' is neither"},
      {"localhost:5000/m", "the namespace 'localhost:5000' may hold only letters, digits, '_' and '-' (with a host"},
      {"user.name/m", "the namespace 'user.name'"},
      {"http://m", "the namespace is missing (with a host"},
      {"http://n/m", "the host 'http:/' may hold only letters, digits, '_', '.', ':' and '-' (with a host"},
      {"a/b/c/d", "the host 'a/b'"},
      {"m@sha256:" + repeat('a', 64), "not by a digest"},
      {"@sha256:" + repeat('a', 64), "not by a digest"},
      {"-m", "the model '-m' must begin with"},
      {".m", "the model '.m' must begin with"},
      {"n/-m", "the model '-m'"},
      {"-n/m", "the namespace '-n'"},
      {"m:-t", "the tag '-t'"},
      {"m:.t", "the tag '.t'"},
      {"-h/n/m", "the host '-h'"},
      {".h/n/m", "the host '.h'"},
      {":5000/n/m", "the host ':5000'"},
      {"..", "the model '..'"},
      {"../m", "the namespace '..'"},
      {"a/../b", "the namespace '..'"},
      {"h/n/..", "the model '..'"},
      {"m:..", "the tag '..'"},
      {"../n/m", "the host '..'"},
      {"m:a:b", "the model 'm:a'"},
      {"m:a/b", "the namespace 'm:a'"},
      {"n:x/m", "the namespace 'n:x'"},
      {"a\\b", "the model 'a\\b'"},
      {"%2e%2e", "the model '%2e%2e'"},
      {"m m", "the model 'm m'"},
      {" m", "the model ' m'"},
      {"m\n", "the model 'm\\x0a'"},
      {"m\x1b[31m", "the model 'm\\x1b[31m'"},
      {"m\xc3\xa9", "the model 'm\xc3\xa9'"},
      {std::string("m\0x", 3), "the model 'm\\x00x'"},
      {repeat('m', 81), "the model is 81 bytes long, at most 80"},
      {repeat('n', 81) + "/m", "the namespace is 81 bytes long, at most 80"},
      {"m:" + repeat('t', 81), "the tag is 81 bytes long, at most 80"},
      {repeat('h', 351) + "/n/m", "the host is 351 bytes long, at most 350"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto name = ModelName::parse(row.text);
    REQUIRE_FALSE(name);
    CHECK(name.error().code == pullama::ErrorCode::kInvalidArgument);
    CAPTURE(name.error().message);
    CHECK(name.error().message.starts_with("invalid model name '"));
    CHECK(name.error().message.find(row.wrong) != std::string::npos);
    CHECK(name.error().message.find("the right form is [[http://]host/][namespace/]model[:tag]") != std::string::npos);
    CHECK(name.error().message.find('\n') == std::string::npos);
  }
}

TEST_CASE("the shortest name keeps what is not the default, and its tag") {
  struct Row {
    const char *text, *display, *without_tag;
  };
  for (const Row& row : {Row{"llama3.2", "llama3.2:latest", "llama3.2"},
                         {"registry.ollama.ai/library/m:x", "m:x", "m"},
                         {"user/m:7b", "user/m:7b", "user/m"},
                         {"registry.ollama.ai/user/m", "user/m:latest", "user/m"},
                         {"h:5000/library/m", "h:5000/library/m:latest", "h:5000/library/m"},
                         {"http://h:5000/ns/m:t", "h:5000/ns/m:t", "h:5000/ns/m"}}) {
    const auto name = ModelName::parse(row.text);
    REQUIRE(name);
    CHECK(name->display() == row.display);
    CHECK(name->display_without_tag() == row.without_tag);
    CHECK(ModelName::parse(name->display())->full() == name->full());
  }
}

TEST_CASE("the path and the repository are made of the parts") {
  const auto name = ModelName::parse("h:5000/n/m:t");
  REQUIRE(name);
  CHECK(name->path() == "h:5000/n/m/t");
  CHECK(name->repository() == "n/m");
}

TEST_CASE("four parts make a name only when each is valid") {
  const auto name = ModelName::from_parts("h:1", "n", "m", "t");
  REQUIRE(name);
  CHECK(*name == *ModelName::parse("h:1/n/m:t"));
  CHECK_FALSE(ModelName::from_parts("", "n", "m", "t"));
  CHECK_FALSE(ModelName::from_parts("h", "n.x", "m", "t"));
  CHECK_FALSE(ModelName::from_parts("h", "n", "..", "t"));
  const auto wrong = ModelName::from_parts("h", "n", "m", ".tmp");
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message.find("the tag '.tmp'") != std::string::npos);
}

TEST_CASE("names are equal without regard to case, part by part") {
  CHECK(ModelName::parse("HF.co/U/R:Q4")->equals_ignoring_case(*ModelName::parse("hf.co/u/r:q4")));
  CHECK_FALSE(ModelName::parse("u/r:q4")->equals_ignoring_case(*ModelName::parse("u/r:q5")));
  CHECK_FALSE(ModelName::parse("m")->equals_ignoring_case(*ModelName::parse("mm")));
  CHECK(*ModelName::parse("M") != *ModelName::parse("m"));
}
