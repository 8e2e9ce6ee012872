#include "daemon/settings_in_effect.h"

#include "common/printable.h"
#include "common/proxy_settings.h"
#include "daemon/config_keys.h"
#include "daemon/registry/requester.h"

namespace pullama {
namespace {

constexpr const char* kDefault = "default";

bool is_limit(std::string_view key) { return key == "limit_rate" || key == "connections" || key == "parallel_models"; }

// The running limits in the words of the configuration.
Config with_limits(const Config& config, const queue::Limits& limits) {
  Config result = config;
  result.limit_rate = limits.rate;
  result.connections = limits.connections;
  result.parallel_models = limits.parallel_models;
  return result;
}

}  // namespace

std::vector<proto::DaemonSetting> settings_in_effect(const Configured& configured, const Running& running) {
  const Config effective = with_limits(configured.config, running.limits);
  const Config none = with_limits({}, {});
  std::vector<proto::DaemonSetting> settings;
  for (const ConfigKey& key : config_keys()) {
    proto::DaemonSetting setting{std::string(key.name), key.show(effective), kDefault};
    const auto from = configured.from.find(setting.key);
    if (from != configured.from.end()) setting.from = from->second;
    if (is_limit(key.name)) {
      const std::string said = key.show(configured.config);
      const bool is_default = setting.value == key.show(none);
      const bool as_configured = said == setting.value || (said.empty() && is_default);
      if (!as_configured) setting.from = is_default ? kDefault : "limits.set";
    } else if (key.name == "socket") {
      setting.value = running.socket;
      if (running.socket_was_handed_over) setting.from = "the service manager";
    } else if (key.name == "user_agent" && setting.value.empty()) {
      setting.value = registry::default_user_agent();
    } else if ((key.name == "ca_file" || key.name == "ca_dir") && !setting.value.empty() &&
               !configured.values.contains(setting.key)) {
      setting.from = "found";
    }
    settings.push_back(std::move(setting));
  }
  return settings;
}

void describe_settings(proto::DaemonInfo& info, const Configured& configured, const Running& running) {
  const auto& network = configured.config.network;
  info.network = {without_user_info(network.http_proxy), without_user_info(network.https_proxy), network.no_proxy,
                  network.cas.file, network.cas.folder};
  info.settings = settings_in_effect(configured, running);
  for (const std::string& warning : configured.warnings) info.warnings.push_back(printable(warning));
}

}  // namespace pullama
