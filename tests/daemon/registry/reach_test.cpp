#include "daemon/registry/reach.h"

#include <doctest/doctest.h>

using namespace pullama::registry;

namespace {

std::string place(const char* proxy) {
  const auto found = proxy_place(proxy);
  return found ? found->host + " " + std::to_string(found->port) : "refused: " + found.error().message;
}

}  // namespace

TEST_CASE("where a proxy listens, as libcurl reads it") {
  CHECK(place("http://user:p%40ss@proxy.example:3128/") == "proxy.example 3128");
  CHECK(place("proxy.example:3128") == "proxy.example 3128");
  CHECK(place("http://proxy") == "proxy 1080");
  CHECK(place("HTTPS://proxy") == "proxy 443");
  CHECK(place("socks5h://[::1]:9050") == "::1 9050");
  CHECK(place("socks5://[fe80::1]") == "fe80::1 1080");
  CHECK(place("http://u:a@b@proxy:1") == "proxy 1");
}

TEST_CASE("a proxy that names no place is refused without its login") {
  for (const char* proxy :
       {"http://u:hush@:3128", "http://u:hush@p:0", "http://u:hush@p:65536", "http://u:hush@p:x", ""}) {
    const auto said = place(proxy);
    CHECK(said.starts_with("refused: "));
    CHECK(said.find("hush") == std::string::npos);
  }
}

TEST_CASE("an address is its own, and of one family") {
  CHECK(resolve("127.0.0.1", IpFamily::kV4).value() == std::vector<std::string>{"127.0.0.1"});
  CHECK(resolve("127.0.0.1", IpFamily::kV6).value().empty());
  CHECK(resolve("[::1]", IpFamily::kV6).value() == std::vector<std::string>{"::1"});
  CHECK(resolve("::1", IpFamily::kV4).value().empty());
}

TEST_CASE("what is no address takes no connection") {
  const auto tried = try_connect("registry.example", 443, std::chrono::hours(1), {});
  REQUIRE_FALSE(tried);
  CHECK(tried.error().message.find("registry.example") != std::string::npos);
}
