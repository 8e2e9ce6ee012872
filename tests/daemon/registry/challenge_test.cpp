#include "daemon/registry/challenge.h"

#include <doctest/doctest.h>

using namespace pullama::registry;

TEST_CASE("the challenges of real registries are read") {
  const auto ollama = parse_challenges(
      {R"(Bearer realm="https://ollama.com/token",service="ollama.com",scope="repository:library/x:pull")"});
  REQUIRE(ollama.size() == 1);
  CHECK(ollama[0].scheme == "bearer");
  CHECK(ollama[0].realm == "https://ollama.com/token");
  CHECK(ollama[0].service == "ollama.com");
  CHECK(ollama[0].scopes == std::vector<std::string>{"repository:library/x:pull"});

  const auto several = parse_challenges(
      {R"(Basic realm="a, \"b\" \\ c" , BEARER Scope="x:y:pull,push  z:w:pull" ,realm=r,error="invalid_token")",
       "Negotiate YII=, Digest qop=auth"});
  REQUIRE(several.size() == 4);
  CHECK(several[0].scheme == "basic");
  CHECK(several[0].realm == R"(a, "b" \ c)");
  CHECK(several[1].scheme == "bearer");
  CHECK(several[1].realm == "r");
  CHECK(several[1].error == "invalid_token");
  CHECK(several[1].scopes == std::vector<std::string>{"x:y:pull,push", "z:w:pull"});
  CHECK(several[2].scheme == "negotiate");
  CHECK(several[3].scheme == "digest");
}

TEST_CASE("a scope may be missing or a dash") {
  const auto none =
      parse_challenges({R"(Bearer realm="https://r/t",service="s")", R"(Bearer realm="https://r/t",scope="-")"});
  REQUIRE(none.size() == 2);
  CHECK(none[0].scopes.empty());
  CHECK(none[1].scopes.empty());
}

TEST_CASE("a broken challenge is left out, those before it stay") {
  struct Row {
    std::string header;
    std::size_t count;
  };
  for (const Row& row :
       {Row{"", 0}, Row{",,, ", 0}, Row{"=", 0}, Row{"\"x\"", 0}, Row{R"(Bearer realm="https://r)", 0},
        Row{R"(Basic realm="x", Bearer realm="unfinished)", 1}, Row{R"(Basic, Bearer realm="unfinished\)", 1},
        Row{R"(Bearer realm="a",realm="b")", 0}, Row{R"(Bearer realm="a",REALM="b", Basic)", 1}, Row{"Bearer", 1},
        Row{"Bearer realm", 1}, Row{"Bearer realm=", 1}, Row{"Bearer \x01", 1}}) {
    CAPTURE(row.header);
    CHECK(parse_challenges({row.header}).size() == row.count);
  }
}

TEST_CASE("a challenge cut off at any byte does no harm") {
  const std::string header = R"(Basic realm="a\"b", Bearer realm="https://r/t",service=s,scope="x y")";
  for (std::size_t length = 0; length <= header.size(); ++length) {
    CAPTURE(length);
    for (const auto& challenge : parse_challenges({std::string_view(header).substr(0, length)})) {
      CHECK_FALSE(challenge.scheme.empty());
    }
  }
}
