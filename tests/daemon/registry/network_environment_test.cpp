#include "daemon/registry/network_environment.h"

#include <doctest/doctest.h>

#include <set>
#include <vector>

using namespace pullama::registry;

namespace {

Url url(const std::string& text) {
  auto parsed = Url::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("proxies are chosen by scheme") {
  const NetworkEnvironment network{"http://a", "socks5h://b", "h", {}};
  CHECK(network.proxy_for(url("http://g/")) == "http://a");
  CHECK(network.proxy_for(url("https://g/")) == "socks5h://b");
  CHECK(network.proxy_for(url("https://h/")).empty());
  CHECK(NetworkEnvironment{}.proxy_for(url("https://g/")).empty());
}

TEST_CASE("NO_PROXY takes names, ports, addresses and blocks") {
  struct Row {
    const char* list;
    const char* url;
    bool bypassed;
  };
  for (const Row& row : {Row{"*", "http://h/", true},
                         Row{"a,b c", "http://c/", true},
                         Row{"a,b", "http://c/", false},
                         Row{"example.com", "http://example.com/", true},
                         Row{"example.com", "http://x.Example.com/", true},
                         Row{"example.com", "http://notexample.com/", false},
                         Row{".example.com", "http://x.example.com/", true},
                         Row{".example.com", "http://example.com/", true},
                         Row{"*.example.com", "http://x.example.com/", true},
                         Row{"x.example.com", "http://example.com/", false},
                         Row{"example.com", "http://example.com./", true},
                         Row{"h:5000", "http://h:5000/", true},
                         Row{"h:5000", "http://h:5001/", false},
                         Row{"127.0.0.1", "http://127.0.0.1:99/", true},
                         Row{"127.0.0.1:99", "http://127.0.0.1:99/", true},
                         Row{"127.0.0.1:98", "http://127.0.0.1:99/", false},
                         Row{"10.0.0.0/8", "http://10.9.8.7/", true},
                         Row{"10.0.0.0/8", "http://11.9.8.7/", false},
                         Row{"10.0.0.0/9", "http://10.128.0.1/", false},
                         Row{"10.0.0.0/33", "http://10.0.0.0/", false},
                         Row{"10.0.0.0/8", "http://h/", false},
                         Row{"::1", "http://[::1]/", true},
                         Row{"[::1]", "http://[::1]:7/", true},
                         Row{"fd00::/8", "http://[fd12::1]/", true},
                         Row{"0.0.0.1", "http://10.0.0.1/", false},
                         Row{"", "http://h/", false},
                         Row{",, ,", "http://h/", false},
                         Row{"/", "http://h/", false}}) {
    CAPTURE(row.list);
    CAPTURE(row.url);
    CHECK(bypasses_proxy(row.list, url(row.url)) == row.bypassed);
  }
}

TEST_CASE("trusted CAs are found where the distribution keeps them, a bundle before a folder") {
  const auto find = [](const std::set<std::string>& there) {
    return find_trusted_cas([&](const std::string& path) { return there.contains(path); });
  };
  for (const char* bundle :
       {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
        "/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    CHECK(find({bundle, "/etc/ssl/certs"}).file == bundle);
    CHECK(find({bundle, "/etc/ssl/certs"}).folder.empty());
  }
  CHECK(find({"/etc/ssl/certs"}).folder == "/etc/ssl/certs");
  CHECK(find({"/etc/pki/tls/certs"}).folder == "/etc/pki/tls/certs");
  CHECK(find({}).file.empty());
}
