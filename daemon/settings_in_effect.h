#pragma once
// What `pullama daemon status` tells of the configuration: each setting as it is in effect and where it came from.
// Pure.

#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/queue/job.h"
#include "proto/results.h"

namespace pullama {

// What was decided while the daemon runs, beyond its configuration.
struct Running {
  std::string socket;
  bool socket_was_handed_over = false;  // by the service manager
  queue::Limits limits;                 // limits.set may have changed them
};

// In the order of config_keys(); logins in proxies and a command's arguments are left out.
std::vector<proto::DaemonSetting> settings_in_effect(const Configured& configured, const Running& running);

// Adds them, the network's by themselves, and what is wrong with the configuration.
void describe_settings(proto::DaemonInfo& info, const Configured& configured, const Running& running);

}  // namespace pullama
