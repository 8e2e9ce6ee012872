#include "daemon/settings_reload.h"

#include <fmt/core.h>

#include "daemon/config_keys.h"

namespace pullama {
namespace {

// Calls `with` for each limit: its member in the configuration, and in what was set.
template <class With>
void for_each_limit(With with) {
  with(&Config::limit_rate, &queue::Limits::rate);
  with(&Config::connections, &queue::Limits::connections);
  with(&Config::parallel_models, &queue::Limits::parallel_models);
}

}  // namespace

bool is_socket_named(const Configured& configured) {
  const auto from = configured.from.find("socket");
  return from != configured.from.end() && !from->second.starts_with('/') && !configured.config.socket.empty();
}

void pass_over_unknown_group(Configured& configured, const std::function<Status(const std::string&)>& look_up) {
  const auto from = configured.from.find("socket_group");
  if (configured.config.socket_group.empty() || from == configured.from.end() || !from->second.starts_with('/')) return;
  const auto known = look_up(configured.config.socket_group);
  if (known) return;
  configured.warnings.push_back(
      fmt::format("{}: socket_group: {}; the line is passed over", from->second, known.error().message));
  configured.config.socket_group.clear();
  configured.from.erase(from);
}

queue::Limits ChosenLimits::in_effect() const {
  queue::Limits limits = set;
  for_each_limit([&](auto said, auto limit) { limits.*limit = (configured.*said).value_or(limits.*limit); });
  return limits;
}

void ChosenLimits::take(const proto::LimitsSetParams& params) {
  if (params.rate) {
    configured.limit_rate.reset();
    set.rate = *params.rate;
  }
  if (params.connections) {
    configured.connections.reset();
    set.connections = *params.connections;
  }
  if (params.parallel_models) {
    configured.parallel_models.reset();
    set.parallel_models = *params.parallel_models;
  }
}

ChosenLimits choose_limits(const Config& config, const queue::Limits& remembered) {
  ChosenLimits limits{{}, remembered};
  for_each_limit([&](auto said, auto limit) {
    limits.configured.*said = config.*said;
    if (config.*said) limits.set.*limit = queue::Limits().*limit;
  });
  return limits;
}

Reloaded reload_settings(const Configured& before, Configured fresh, ChosenLimits limits) {
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
  for_each_limit([&](auto said, auto limit) {
    if (fresh.config.*said == old.*said) return;
    limits.configured.*said = fresh.config.*said;
    if (fresh.config.*said) limits.set.*limit = queue::Limits().*limit;
  });
  return {std::move(fresh), std::move(limits)};
}

}  // namespace pullama
