#include "daemon/registry/address.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <vector>

using namespace pullama::registry;

TEST_CASE("addresses inside are known in every disguise") {
  for (const char* text : {"0.0.0.0",
                           "10.1.2.3",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.0.9",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.8",
                           "192.168.1.1",
                           "224.0.0.1",
                           "239.1.1.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "::127.0.0.1",
                           "64:ff9b::7f00:1",
                           "64:ff9b:1::1",
                           "2002:7f00:1::",
                           "fc00::1",
                           "fd12:3456::1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "ff02::1",
                           "fe80::1%eth0"}) {
    CAPTURE(text);
    CHECK(is_private_address_text(text));
  }
  for (const char* text : {"1.1.1.1",         "9.255.255.255",  "11.0.0.0",
                           "100.63.255.255",  "100.128.0.0",    "126.1.1.1",
                           "128.0.0.1",       "169.253.1.1",    "172.15.1.1",
                           "172.32.0.1",      "192.0.1.1",      "192.167.1.1",
                           "193.168.1.1",     "198.18.0.1",     "223.255.255.255",
                           "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101",
                           "2002:101:101::",  "2001:db8::1",    "",
                           "example.com",     "1.2.3"}) {
    CAPTURE(text);
    CHECK_FALSE(is_private_address_text(text));
  }
}

TEST_CASE("socket addresses are judged by family") {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_addr.s_addr = htonl(0x7F000001);
  CHECK(is_private_address(reinterpret_cast<const sockaddr&>(v4)));
  v4.sin_addr.s_addr = htonl(0x08080808);
  CHECK_FALSE(is_private_address(reinterpret_cast<const sockaddr&>(v4)));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_addr = in6addr_loopback;
  CHECK(is_private_address(reinterpret_cast<const sockaddr&>(v6)));
  sockaddr_un other{};
  other.sun_family = AF_UNIX;
  CHECK(is_private_address(reinterpret_cast<const sockaddr&>(other)));
}

TEST_CASE("a host in a URL is judged in every spelling that resolvers take") {
  for (const char* host :
       {"127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "10.1", "localhost", "LOCALHOST.",
        "a.localhost", "[::1]", "[::ffff:169.254.169.254]", "[fd00::1]", "169.254.169.254."}) {
    CAPTURE(host);
    CHECK(is_private_literal(host));
  }
  for (const char* host :
       {"example.com", "8.8.8.8", "134744072", "[2606:4700::1]", "localhost.example.com", "", "[]", "a"}) {
    CAPTURE(host);
    CHECK_FALSE(is_private_literal(host));
  }
}
