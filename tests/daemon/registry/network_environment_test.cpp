#include "daemon/registry/network_environment.h"

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <vector>

using namespace pullama::registry;

namespace {

NetworkEnvironment read(const std::map<std::string, std::string>& variables, const std::set<std::string>& files = {}) {
  return read_network_environment(
      [&](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? std::string() : found->second;
      },
      [&](const std::string& path) { return files.count(path) > 0; });
}

Url url(const std::string& text) {
  auto parsed = Url::parse(text);
  REQUIRE(parsed);
  return *parsed;
}

}  // namespace

TEST_CASE("proxies are chosen by scheme, lower case first") {
  const auto both = read({{"HTTP_PROXY", "http://a"},
                          {"https_proxy", "http://b"},
                          {"HTTPS_PROXY", "http://c"},
                          {"ALL_PROXY", "socks5://d"}});
  CHECK(both.proxy_for(url("http://h/")) == "http://a");
  CHECK(both.proxy_for(url("https://h/")) == "http://b");
  const auto all = read({{"ALL_PROXY", "socks5h://d"}, {"NO_PROXY", "h"}});
  CHECK(all.proxy_for(url("http://g/")) == "socks5h://d");
  CHECK(all.proxy_for(url("https://h/")).empty());
  CHECK(read({}).proxy_for(url("https://h/")).empty());
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

TEST_CASE("trusted CAs come from the environment, else from where the distribution keeps them") {
  const auto own = read({{"SSL_CERT_FILE", "/f"}}, {"/etc/ssl/certs/ca-certificates.crt"});
  CHECK(own.cas.file == "/f");
  CHECK(own.cas.folder.empty());
  CHECK(read({{"SSL_CERT_DIR", "/d"}}, {"/etc/ssl/certs/ca-certificates.crt"}).cas.file.empty());
  CHECK(read({}, {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs"}).cas.file ==
        "/etc/ssl/certs/ca-certificates.crt");
  CHECK(read({}, {"/etc/pki/tls/certs/ca-bundle.crt"}).cas.file == "/etc/pki/tls/certs/ca-bundle.crt");
  CHECK(read({}, {"/etc/ssl/certs"}).cas.folder == "/etc/ssl/certs");
}
