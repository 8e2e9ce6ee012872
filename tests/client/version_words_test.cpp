#include "client/version_words.h"

#include <doctest/doctest.h>

using namespace pullama::client;

TEST_CASE("of a daemon that hangs, the pid is named only where it is the daemon's") {
  CHECK(silent_words(12, "pullamad", false).who == " (pid 12)");
  CHECK(silent_words(12, "pullamad", false).remedy.find("kill -KILL 12") != std::string::npos);
  CHECK(silent_words(12, "systemd", false).who.empty());
  CHECK(silent_words(12, "systemd", false).remedy.find("systemctl --user") != std::string::npos);
  CHECK(silent_words(1, "systemd", true).who.empty());
  CHECK(silent_words(1, "systemd", true).remedy.find("sudo systemctl") != std::string::npos);
  CHECK(silent_words(0, "", false).who.empty());
}

TEST_CASE("versions are compared number by number") {
  CHECK(compare_versions("0.2.0", "0.2.0") == 0);
  CHECK(compare_versions("0.2", "0.2.0") == 0);
  CHECK(compare_versions("0.2.0", "0.10.0") < 0);
  CHECK(compare_versions("1.0", "0.99.99") > 0);
  CHECK(compare_versions("0.2.0-rc1", "0.2.0") == 0);
  CHECK(compare_versions("", "0.0.1") < 0);
  CHECK(compare_versions("nonsense", "99999999999999999999999.1") == 0);
}

TEST_CASE("the notice says which of the two is to be replaced") {
  CHECK(version_notice("0.2.0", 7, "0.2.0", false).empty());
  CHECK(version_notice("0.1.9", 7, "0.2.0", false) ==
        "the daemon (pid 7) is version 0.1.9, this client is 0.2.0; restart the daemon: pullama daemon stop, then "
        "pullama daemon start");
  CHECK(version_notice("0.1.9", 7, "0.2.0", true).find("sudo systemctl restart pullamad") != std::string::npos);
  CHECK(version_notice("0.3.0", 7, "0.2.0", false) ==
        "the daemon (pid 7) is version 0.3.0, this client is 0.2.0, the older one: use the pullama of the daemon's "
        "version");
  CHECK(version_notice("0.1\x1b[2J", 7, "0.2.0", false).find('\x1b') == std::string::npos);
}
