#include "daemon/registry/credentials.h"

#include <doctest/doctest.h>

#include "daemon/registry/base64.h"
#include "tests/support/io/temp_dir.h"

using namespace pullama::registry;
using pullama::ErrorCode;

TEST_CASE("Docker's config gives Basic credentials by host") {
  const pullama::testing::TempDir dir;
  dir.write("config.json", R"({"auths":{
    "https://index.docker.io/v1/":{"auth":")" +
                               base64("hub:secret") + R"("},
    "R.example:5000":{"username":"u","password":"p:q"},
    "stored.example":{},
    "http://stored.example/":{"auth":")" +
                               base64(std::string("x:y\0\0", 5)) + R"("},
    "identity.example":{"identitytoken":"t"},
    "broken.example":{"auth":"***"},
    "nocolon.example":{"auth":")" +
                               base64("nocolon") + R"("},
    "wrong.example":[]},"credsStore":"desktop"})");
  const Credentials credentials({"", dir / "config.json", "u"});
  const auto of = [&](const char* host) { return credentials.basic(host).value().value_or("none"); };
  CHECK(of("index.docker.io") == base64("hub:secret"));
  CHECK(of("r.EXAMPLE:5000") == base64("u:p:q"));
  CHECK(of("stored.example") == base64("x:y"));
  for (const char* host :
       {"r.example", "r.example:5001", "identity.example", "broken.example", "nocolon.example", "wrong.example", ""}) {
    CAPTURE(host);
    CHECK(of(host) == "none");
  }
}

TEST_CASE("no Docker config is no error, a broken one is named") {
  const pullama::testing::TempDir dir;
  CHECK_FALSE(Credentials({"", dir / "config.json", "u"}).basic("h").value());
  CHECK_FALSE(Credentials({"", "", "u"}).basic("h").value());
  for (const char* content : {"", "{", "[]", "null"}) {
    CAPTURE(content);
    dir.write("config.json", content);
    const auto basic = Credentials({"", dir / "config.json", "u"}).basic("h");
    REQUIRE_FALSE(basic);
    CHECK(basic.error().code == ErrorCode::kAuthFailed);
    CHECK(basic.error().message.find(dir / "config.json") != std::string::npos);
  }
  dir.write("config.json", R"({"auths":[]})");
  CHECK_FALSE(Credentials({"", dir / "config.json", "u"}).basic("h").value());
  dir.write("config.json", std::string(2 << 20, ' '));
  CHECK_FALSE(Credentials({"", dir / "config.json", "u"}).basic("h"));
}

TEST_CASE("base64 is strict both ways") {
  for (const char* text : {"", "a", "ab", "abc", "abcd"}) CHECK(from_base64(base64(text)) == std::string(text));
  CHECK(base64("\xff\xfe") == "//4=");
  for (const char* text : {"a", "ab=", "a===", "====", "ab\n=", "a=b=", "-_==", "abcd="}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64(text));
  }
}
