#include "daemon/registry/token_request.h"

#include <doctest/doctest.h>

#include <vector>

#include "daemon/registry/base64.h"

using namespace pullama::registry;

namespace {

Url url(const std::string& text) {
  auto parsed = Url::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("a realm is judged by scheme and host before anything is sent to it") {
  struct Row {
    std::string registry, realm;
    bool asked, may_sign;
  };
  for (const auto& row : std::vector<Row>{
           {"https://r.example", "https://r.example/token", true, true},
           {"https://r.example", "https://R.example:443/token", true, true},
           {"https://r.example", "https://r.example:8443/token", true, false},
           {"https://r.example", "https://evil.example/token", true, false},
           {"https://r.example", "https://r.example.evil.example/token", true, false},
           {"https://r.example", "https://169.254.169.254/token", true, false},
           {"https://r.example", "http://r.example/token", false, false},
           {"https://r.example", "https://user:hush@r.example/token", false, false},
           {"https://r.example", "", false, false},
           {"https://r.example", "/token", false, false},
           {"https://r.example", "file:///etc/passwd", false, false},
           {"https://r.example", "https://r.example/a\r\nX: y", false, false},
           {"http://r.example:5000", "http://r.example:5000/token", true, true},
           {"http://r.example:5000", "http://r.example:5001/token", true, false},
           {"http://r.example:5000", "https://r.example:5000/token", true, true},
           {"http://r.example:5000", "http://evil.example:5000/token", false, false},
           {"https://hf.co", "https://huggingface.co/v2/token", true, true},
           {"https://huggingface.co", "https://hf.co/v2/token", true, true},
           {"https://registry.ollama.ai", "https://ollama.com/token", true, true},
           {"https://registry.ollama.ai", "https://huggingface.co/v2/token", true, false},
           {"https://registry.ollama.ai", "https://ollama.com:8443/token", true, false},
           {"https://hf.co", "http://huggingface.co/v2/token", false, false},
       }) {
    CAPTURE(row.registry);
    CAPTURE(row.realm);
    const auto realm = judge_realm(url(row.registry), row.realm);
    CHECK(realm.has_value() == row.asked);
    if (!realm) {
      CHECK(realm.error().code == pullama::ErrorCode::kAuthFailed);
      CHECK(realm.error().message.find("hush") == std::string::npos);
      continue;
    }
    CHECK(realm->may_sign == row.may_sign);
  }
}

TEST_CASE("the token URL is sorted and form-encoded as Go does it") {
  Challenge challenge{"bearer", {}, "ollama.com", {}, {"repository:library/x:pull,push", "z:a b~"}};
  const auto realm = judge_realm(url("https://ollama.com"), "https://ollama.com/token?z=1&account=a%20b+c&bad=%zz");
  REQUIRE(realm);
  CHECK(token_url(*realm, challenge) ==
        "https://ollama.com/"
        "token?account=a+b+c&scope=repository%3Alibrary%2Fx%3Apull%2Cpush&scope=z%3Aa+b~&service=ollama.com&z=1");
  CHECK(signed_token_url(*realm, challenge, 1'700'000'000, "NoNcE-_") ==
        "https://ollama.com/"
        "token?account=a+b+c&nonce=NoNcE-_&scope=repository%3Alibrary%2Fx%3Apull%2Cpush&scope=z%3Aa+b~&service="
        "ollama.com&ts=1700000000&z=1");
  const auto bare = judge_realm(url("https://ollama.com"), "https://ollama.com/token");
  REQUIRE(bare);
  CHECK(token_url(*bare, {}) == "https://ollama.com/token");
}

TEST_CASE("the signature covers method, URL and the empty body") {
  const std::string seed =
      "\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03"
      "\x1c\xae"
      "\x7f\x60";
  const auto der = std::string("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16) + seed;
  const auto key = SshKey::parse("-----BEGIN PRIVATE KEY-----\n" + base64(der) + "\n-----END PRIVATE KEY-----\n", "k");
  REQUIRE(key);
  const auto header = signature_header(**key, "https://r/t?ts=1");
  const auto colon = header.find(':');
  REQUIRE(colon != std::string::npos);
  CHECK(header.substr(0, colon) == (*key)->public_text());
  CHECK(
      header.substr(colon + 1) ==
      (*key)->sign("GET,https://r/"
                   "t?ts=1,ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="));
  CHECK(header.size() == colon + 1 + 88);
}

TEST_CASE("tokens are taken in both spellings and refused where no header can carry them") {
  CHECK(parse_token(R"({"token":"abc.DEF-_~+/="})").value() == "abc.DEF-_~+/=");
  CHECK(parse_token(R"({"access_token":"abc","expires_in":60})").value() == "abc");
  CHECK(parse_token(R"({"token":"","access_token":"abc"})").value() == "abc");
  for (const std::string& body : std::vector<std::string>{
           "", "[]", "null", "{", "{}", R"({"token":7})", R"({"token":""})", R"({"token":"a\r\nX: y"})",
           R"({"token":"a b"})", R"({"token":"é"})", R"({"token":"a\u0000"})", "<html>",
           R"({"token":")" + std::string(40'000, 'a') + "\"}", std::string(1 << 16, '[')}) {
    CAPTURE(body.substr(0, 40));
    const auto token = parse_token(body);
    REQUIRE_FALSE(token);
    CHECK(token.error().code == pullama::ErrorCode::kAuthFailed);
  }
}
