#include "proto/json_object.h"

#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

using pullama::proto::json_string;
using pullama::proto::JsonObject;

TEST_CASE("members come in order, each type as JSON has it") {
  CHECK(JsonObject().str() == "{}");
  CHECK(JsonObject()
            .add("s", "x")
            .add("b", true)
            .add("i", -5)
            .add("u", std::uint64_t{18446744073709551615ULL})
            .add("d", 0.5)
            .add("nan", std::nan(""))
            .add_null("n")
            .add_json("o", JsonObject().add("a", 1).str())
            .str() == R"({"s":"x","b":true,"i":-5,"u":18446744073709551615,"d":0.5,"nan":null,"n":null,"o":{"a":1}})");
}

TEST_CASE("any text becomes a string that a JSON reader gives back") {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\xe4\xb8\xad\xf0\x9f\x98\x80";
  CHECK(nlohmann::json::parse(json_string(all)).get<std::string>() == all);
  CHECK(json_string(all).find('\n') == std::string::npos);
  CHECK(json_string("a\xff\xe4\xb8") == "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}
