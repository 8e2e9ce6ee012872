#include "daemon/settings_reload.h"

#include <fmt/core.h>

#include "daemon/config_keys.h"

namespace pullama {

queue::Limits limits_of(const Config& config, queue::Limits limits) {
  limits.rate = config.limit_rate.value_or(limits.rate);
  limits.connections = config.connections.value_or(limits.connections);
  limits.parallel_models = config.parallel_models.value_or(limits.parallel_models);
  return limits;
}

Reloaded reload_settings(const Configured& before, Configured fresh, const queue::Limits& limits) {
  const Config& old = before.config;
  for (const ConfigKey& key : config_keys()) {
    if (key.reloads) continue;
    const std::string name(key.name);
    if (key.show(fresh.config) != key.show(old)) {
      fresh.warnings.push_back(fmt::format("{} takes effect when the daemon is started again", name));
    }
    fresh.from.erase(name);
    if (const auto from = before.from.find(name); from != before.from.end()) fresh.from.insert(*from);
  }
  fresh.config.models_dir = old.models_dir;
  fresh.config.socket = old.socket;
  fresh.config.socket_group = old.socket_group;
  Config changed = fresh.config;
  if (changed.limit_rate == old.limit_rate) changed.limit_rate.reset();
  if (changed.connections == old.connections) changed.connections.reset();
  if (changed.parallel_models == old.parallel_models) changed.parallel_models.reset();
  return {std::move(fresh), limits_of(changed, limits)};
}

}  // namespace pullama
