#pragma once
// What a configuration means for a daemon that starts or runs already. Pure.

#include <functional>
#include <string>

#include "common/result.h"
#include "daemon/config.h"
#include "daemon/queue/job.h"
#include "proto/params.h"

namespace pullama {

// By a flag or a variable: who does that means this one, whatever the service manager hands over. What a file names is
// the socket where no unit says otherwise.
bool is_socket_named(const Configured& configured);

// A socket's group that a file names and that is not known is a line that cannot be used. By a flag or a variable it
// stays, to be an error.
void pass_over_unknown_group(Configured& configured, const std::function<Status(const std::string&)>& look_up);

// The limits, by who said them last: the configuration or limits.set. Only what limits.set said is remembered in
// queue.json: a value of a file, variable or flag ends with it.
struct ChosenLimits {
  Config configured;  // of which only the three limits count; none: what was set holds
  queue::Limits set;
  queue::Limits in_effect() const;
  void take(const proto::LimitsSetParams& params);
};
// At the start. What was remembered of a limit that the configuration names is forgotten.
ChosenLimits choose_limits(const Config& config, const queue::Limits& remembered);

struct Reloaded {
  Configured configured;  // what needs a new start is as it was, and a warning says so
  ChosenLimits limits;
};
// A limit that was set meanwhile stays, unless the configuration now says something else than it said before.
Reloaded reload_settings(const Configured& before, Configured fresh, ChosenLimits limits);

}  // namespace pullama
