#include "common/proxy_settings.h"

#include <doctest/doctest.h>

using namespace pullama;

TEST_CASE("a proxy is shown without its password") {
  CHECK(without_user_info("http://u:p@ss@proxy:3128") == "http://proxy:3128");
  CHECK(without_user_info("u:p@proxy") == "proxy");
  CHECK(without_user_info("http://proxy:3128") == "http://proxy:3128");
}

TEST_CASE("the lower case of a variable counts before the upper, and all_proxy where there is none of its own") {
  const auto read = [](std::string_view set) {
    return read_proxy_settings([set](const char* name) { return std::string(set == name ? "http://p" : ""); });
  };
  CHECK(read("http_proxy") == ProxySettings{"http://p", "", ""});
  CHECK(read("HTTPS_PROXY") == ProxySettings{"", "http://p", ""});
  CHECK(read("all_proxy") == ProxySettings{"http://p", "http://p", ""});
  CHECK(read("NO_PROXY") == ProxySettings{"", "", "http://p"});
  const auto both = read_proxy_settings([](const char* name) { return std::string(name); });
  CHECK(both == ProxySettings{"http_proxy", "https_proxy", "no_proxy"});
}
