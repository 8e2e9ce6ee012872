#pragma once
// What a configuration means for a daemon that runs already. Pure.

#include "daemon/config.h"
#include "daemon/queue/job.h"

namespace pullama {

// The limits under a configuration: what it says goes before what was set over the socket, what it does not say stays.
queue::Limits limits_of(const Config& config, queue::Limits limits);

struct Reloaded {
  Configured configured;  // what needs a new start is as it was, and a warning says so
  queue::Limits limits;
};
// `limits` are those in effect: one that was set meanwhile stays, unless the configuration now says something else than
// it said before.
Reloaded reload_settings(const Configured& before, Configured fresh, const queue::Limits& limits);

}  // namespace pullama
