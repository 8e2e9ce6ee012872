#include "daemon/engine/ollama_partial.h"

#include <doctest/doctest.h>

using pullama::engine::parse_ollama_part;

TEST_CASE("a part file says which bytes are there") {
  const auto part = parse_ollama_part(R"({"N":1,"Offset":100,"Size":50,"Completed":20})"
                                      "\n",
                                      1000);
  REQUIRE(part);
  CHECK(part->begin == 100);
  CHECK(part->end == 120);
}

TEST_CASE("a part that cannot be one of this blob is refused") {
  for (const char* text :
       {"", "null", "[]", R"({"N":0})", R"({"N":0,"Offset":0,"Size":10,"Completed":11})",
        R"({"N":0,"Offset":995,"Size":10,"Completed":1})", R"({"N":0,"Offset":-1,"Size":10,"Completed":1})",
        R"({"N":0,"Offset":18446744073709551615,"Size":10,"Completed":1})",
        R"({"N":0,"Offset":0.5,"Size":10,"Completed":1})", R"({"N":0,"Offset":"0","Size":10,"Completed":1})"}) {
    CHECK_MESSAGE(!parse_ollama_part(text, 1000), text);
  }
}
