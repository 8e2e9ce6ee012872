#include "client/network_words.h"

#include <doctest/doctest.h>

using namespace pullama;
using client::proxy_difference;

TEST_CASE("proxies that differ are named, without a login, and equal ones are not") {
  proto::NetworkSettings daemon;
  CHECK(proxy_difference(daemon, {}).empty());
  CHECK(proxy_difference(daemon, {"", "http://mia:hush@p:3128", ""}) ==
        "the daemon goes by HTTPS_PROXY=none, this shell by HTTPS_PROXY=http://p:3128");
  daemon.https_proxy = "http://p:3128";
  CHECK(proxy_difference(daemon, {"", "http://mia:hush@p:3128", ""}).empty());
  CHECK(proxy_difference(daemon, {"http://q", "http://p:3128", ""}) ==
        "the daemon goes by HTTP_PROXY=none, this shell by HTTP_PROXY=http://q");
  daemon.no_proxy = ".corp\x1b[31m";
  const auto words = proxy_difference(daemon, {"", "http://p:3128", ""});
  CHECK(words.find("NO_PROXY=none") != std::string::npos);
  CHECK(words.find('\x1b') == std::string::npos);
}
