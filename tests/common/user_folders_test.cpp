#include "common/user_folders.h"

#include <doctest/doctest.h>

using namespace pullama;

TEST_CASE("a folder of the user is the variable's, else below the home folder") {
  CHECK(user_folder("/state", "/home/u", ".local/state") == "/state");
  CHECK(user_folder("", "/home/u", ".local/state") == "/home/u/.local/state");
  CHECK(user_folder("relative", "/home/u", ".config") == "/home/u/.config");
  CHECK(user_folder("", "", ".config").empty());
  CHECK(user_folder("", "relative", ".config").empty());
}
