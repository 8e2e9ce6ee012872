#include "daemon/io/spawn_posix.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace pullama::io {
namespace {

// The two structs of posix_spawn, which want to be destroyed.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  int set_signals() {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    const auto flags = static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    for (const int fault :
         {posix_spawnattr_setflags(&attributes, flags), posix_spawnattr_setsigmask(&attributes, &none),
          posix_spawnattr_setsigdefault(&attributes, &all)}) {  // we ignore SIGPIPE and SIGHUP
      if (fault != 0) return fault;
    }
    return 0;
  }

  int set_descriptors(const std::vector<std::pair<int, int>>& descriptors) {
    int first_free = 3;
    for (const auto& [ours, number] : descriptors) {
      if (const int fault = posix_spawn_file_actions_adddup2(&actions, ours, number); fault != 0) return fault;
      first_free = std::max(first_free, number + 1);
    }
    for (const int number : {0, 1, 2}) {
      const bool meant = std::any_of(descriptors.begin(), descriptors.end(),
                                     [number](const auto& pair) { return pair.second == number; });
      if (meant) continue;
      const int fault =
          posix_spawn_file_actions_addopen(&actions, number, "/dev/null", number == 0 ? O_RDONLY : O_WRONLY, 0);
      if (fault != 0) return fault;
    }
    if (const int fault = posix_spawn_file_actions_addclosefrom_np(&actions, first_free); fault != 0) return fault;
    return posix_spawn_file_actions_addchdir_np(&actions, "/");
  }

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

int spawn(pid_t& child, const std::string& program, std::vector<std::string> words,
          std::vector<std::string> environment, const std::vector<std::pair<int, int>>& descriptors) {
  SpawnPlan plan;
  if (const int fault = plan.set_signals(); fault != 0) return fault;
  if (const int fault = plan.set_descriptors(descriptors); fault != 0) return fault;
  return posix_spawnp(&child, program.c_str(), &plan.actions, &plan.attributes, pointers(words).data(),
                      pointers(environment).data());
}

std::vector<std::string> process_variables() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

}  // namespace pullama::io
