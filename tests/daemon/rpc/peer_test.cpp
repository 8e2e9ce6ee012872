#include "daemon/rpc/peer.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

using namespace pullama::rpc;

TEST_CASE("the access policy lets in its users and the members of its group, and nobody else") {
  const AccessPolicy user_only{{1000, 0}, {}};
  const AccessPolicy with_group{{1000, 0}, 44};
  struct Row {
    const char* who;
    Peer peer;
    bool user_only, with_group;
  };
  const Row rows[] = {
      {"ourselves", {1000, 1000, 1, {}}, true, true},
      {"root", {0, 0, 1, {}}, true, true},
      {"another user", {1001, 1001, 1, {1001}}, false, false},
      {"a member by the main group", {1001, 44, 1, {}}, false, true},
      {"a member by a supplementary group", {1001, 1001, 1, {7, 44}}, false, true},
      {"a user with our group's number as uid", {44, 1001, 1, {}}, false, false},
      {"a user in our user's group", {1001, 1000, 1, {1000}}, false, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.who);
    CHECK(user_only.allows(row.peer) == row.user_only);
    CHECK(with_group.allows(row.peer) == row.with_group);
  }
}

TEST_CASE("the kernel says who is at the other end") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
  const auto peer = peer_of(ends[0]);
  REQUIRE(peer.has_value());
  CHECK(peer->uid == ::geteuid());
  CHECK(peer->gid == ::getegid());
  CHECK(peer->pid == ::getpid());
  std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
  REQUIRE(::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
  CHECK(peer->groups.size() == groups.size());
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a descriptor that is no socket has no peer") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  CHECK_FALSE(peer_of(ends[0]).has_value());
  ::close(ends[0]);
  ::close(ends[1]);
}
