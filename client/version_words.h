#pragma once
// What to say to a user whose daemon is of another version than this client: which of the two to replace, and how.

#include <cstdint>
#include <string>
#include <string_view>

namespace pullama::client {

// Numbers between dots, compared one by one; what follows them ("-rc1") does not count. Below 0, 0, above 0.
int compare_versions(std::string_view a, std::string_view b);

// How to restart the daemon: the system service's is the administrator's.
std::string restart_words(bool is_system);

// Of a daemon that hangs: which one it is (after "the daemon"), and what ends it. `program`: what runs as `pid`, the
// one that made the socket; that is a service manager where it hands sockets over.
struct SilentWords {
  std::string who, remedy;
};
SilentWords silent_words(int pid, std::string_view program, bool is_system);

// Empty where both are of one version.
std::string version_notice(std::string_view daemon, std::uint64_t pid, std::string_view client, bool is_system);

}  // namespace pullama::client
