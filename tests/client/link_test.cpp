#include "client/link.h"

#include <doctest/doctest.h>

using namespace pullama;
using namespace pullama::client;

TEST_CASE("the socket of the daemon that holds the models dir is read from the error") {
  struct Row {
    const char *message, *hint, *path;
  };
  for (const Row& row :
       {Row{"held", "use --socket /run/user/1/p/d.sock", "/run/user/1/p/d.sock"},
        Row{"held; use --socket /a/b.sock.", "", "/a/b.sock."},
        Row{"held", "use --socket '/with blank/d.sock' instead", "/with blank/d.sock"},
        Row{"held", "run pullama with --socket /a/b.sock, or stop it", "/a/b.sock"},
        Row{"held", "use --socket relative.sock", ""}, Row{"held", "stop it", ""}, Row{"held", "--socket ", ""}}) {
    CAPTURE(row.hint);
    CHECK(socket_named_by(Error{ErrorCode::kLocked, row.message, row.hint, 0}).value_or("") == row.path);
  }
  CHECK_FALSE(socket_named_by(Error{ErrorCode::kNetwork, "", "use --socket /a/b.sock", 0}));
}
