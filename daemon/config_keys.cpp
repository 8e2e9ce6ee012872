#include "daemon/config_keys.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "common/duration_text.h"
#include "common/printable.h"
#include "common/proxy_settings.h"
#include "common/size_text.h"
#include "daemon/command_words.h"
#include "daemon/registry/reach.h"

namespace pullama {
namespace {

constexpr std::chrono::hours kLongestCommand{1};
constexpr std::array<std::string_view, 7> kLevels{"trace", "debug", "info", "warning", "error", "critical", "off"};

constexpr std::array<std::string_view, 1> kModels{"OLLAMA_MODELS"};
constexpr std::array<std::string_view, 1> kNoPrune{"OLLAMA_NOPRUNE"};
constexpr std::array<std::string_view, 4> kHttpProxy{"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
constexpr std::array<std::string_view, 4> kHttpsProxy{"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
constexpr std::array<std::string_view, 2> kNoProxy{"no_proxy", "NO_PROXY"};
constexpr std::array<std::string_view, 1> kCaFile{"SSL_CERT_FILE"};
constexpr std::array<std::string_view, 1> kCaFolder{"SSL_CERT_DIR"};

auto wrong(std::string message) { return fail(ErrorCode::kInvalidArgument, std::move(message)); }

template <std::string Config::*Member>
Status set_text(Config& config, const std::string& value) {
  config.*Member = value;
  return {};
}
template <std::string Config::*Member>
std::string show_text(const Config& config) {
  return config.*Member;
}

Status set_log_level(Config& config, const std::string& value) {
  if (!value.empty() && std::find(kLevels.begin(), kLevels.end(), value) == kLevels.end()) {
    return wrong(fmt::format("{} is none of {}", printable(value, 64), fmt::join(kLevels, ", ")));
  }
  config.log_level = value.empty() ? Config().log_level : value;
  return {};
}

template <std::chrono::milliseconds Config::*Member>
Status set_duration(Config& config, const std::string& value) {
  if (value.empty()) {
    config.*Member = Config().*Member;
    return {};
  }
  const auto duration = parse_duration(value);
  if (!duration) return fail(duration.error());
  config.*Member = *duration;
  return {};
}
template <std::chrono::milliseconds Config::*Member>
std::string show_duration(const Config& config) {
  return format_duration(config.*Member);
}

Status set_on_finished_limit(Config& config, const std::string& value) {
  Config trial;
  if (auto set = set_duration<&Config::on_finished_limit>(trial, value); !set) return set;
  if (trial.on_finished_limit > kLongestCommand) return wrong("a command may take 1h at most");
  config.on_finished_limit = trial.on_finished_limit;
  return {};
}

Status set_rate(Config& config, const std::string& value) {
  config.limit_rate.reset();
  if (value.empty()) return {};
  const auto rate = parse_rate(value);
  if (!rate) return fail(rate.error());
  config.limit_rate = *rate;
  return {};
}
std::string show_rate(const Config& config) {
  if (!config.limit_rate) return {};
  return *config.limit_rate == 0 ? "off" : format_rate(static_cast<double>(*config.limit_rate));
}

Result<unsigned> small_number(const std::string& value) {
  unsigned number = 0;
  const auto [end, fault] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (fault != std::errc{} || end != value.data() + value.size() || number == 0 || number > 16) {
    return wrong(fmt::format("{} is no whole number from 1 to 16", printable(value, 64)));
  }
  return number;
}
Status set_connections(Config& config, const std::string& value) {
  config.connections.reset();
  if (value.empty()) return {};
  if (value == "auto") {
    config.connections = 0;
    return {};
  }
  const auto number = small_number(value);
  if (!number) return wrong(number.error().message + ", nor auto");
  config.connections = *number;
  return {};
}
std::string show_connections(const Config& config) {
  if (!config.connections) return {};
  return *config.connections == 0 ? "auto" : std::to_string(*config.connections);
}
Status set_parallel_models(Config& config, const std::string& value) {
  config.parallel_models.reset();
  if (value.empty()) return {};
  const auto number = small_number(value);
  if (!number) return fail(number.error());
  config.parallel_models = *number;
  return {};
}
std::string show_parallel_models(const Config& config) {
  return config.parallel_models ? std::to_string(*config.parallel_models) : std::string();
}

Status set_user_agent(Config& config, const std::string& value) {
  const bool odd = std::any_of(value.begin(), value.end(), [](char c) { return c < ' ' || c > '~'; });
  if (odd) return wrong("a user agent is printable ASCII");
  config.user_agent = value;
  return {};
}

template <std::string registry::NetworkEnvironment::*Member>
Status set_network(Config& config, const std::string& value) {
  config.network.*Member = value;
  return {};
}
template <std::string registry::NetworkEnvironment::*Member>
std::string show_network(const Config& config) {
  return without_user_info(config.network.*Member);
}
template <std::string registry::NetworkEnvironment::*Member>
std::string doubt_proxy(const Config& config, const std::function<bool(const std::string&)>&) {
  return registry::proxy_doubt(config.network.*Member);
}
std::string doubt_no_proxy(const Config& config, const std::function<bool(const std::string&)>&) {
  return registry::no_proxy_doubt(config.network.no_proxy);
}
template <std::string registry::TrustedCas::*Member>
std::string doubt_cas(const Config& config, const std::function<bool(const std::string&)>& exists) {
  const std::string& path = config.network.cas.*Member;
  if (path.empty() || exists(path)) return {};
  return fmt::format("there is no {}", printable(path, 200));
}
template <std::string registry::TrustedCas::*Member>
Status set_cas(Config& config, const std::string& value) {
  config.network.cas.*Member = value;
  return {};
}
template <std::string registry::TrustedCas::*Member>
std::string show_cas(const Config& config) {
  return config.network.cas.*Member;
}

Status set_mirror(Config& config, const std::string& value) {
  if (value.empty()) {
    config.mirrors.clear();
    return {};
  }
  auto mirrors = registry::parse_mirrors(value);
  if (!mirrors) return fail(mirrors.error());
  config.mirrors.insert(config.mirrors.end(), mirrors->begin(), mirrors->end());
  return {};
}
std::string show_mirror(const Config& config) {
  std::string text;
  for (const auto& mirror : config.mirrors) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", mirror.host, mirror.origin);
  }
  return text;
}

Status set_noprune(Config& config, const std::string& value) {
  if (!value.empty() && value != "true" && value != "false") {
    return wrong(fmt::format("{} is neither true nor false", printable(value, 64)));
  }
  config.noprune = value == "true";
  return {};
}
std::string show_noprune(const Config& config) { return config.noprune ? "true" : "false"; }

Status set_on_finished(Config& config, const std::string& value) {
  auto words = split_command(value);
  if (!words) return fail(words.error());
  config.on_finished = std::move(*words);
  return {};
}
// The arguments may be somebody's secrets.
std::string show_on_finished(const Config& config) {
  if (config.on_finished.empty()) return {};
  return config.on_finished.front() + (config.on_finished.size() > 1 ? " …" : "");
}

using registry::NetworkEnvironment;
using registry::TrustedCas;

constexpr std::array kKeys{
    ConfigKey{.name = "models_dir",
              .form = "DIR",
              .about = "Where models are stored (~/.ollama/models)",
              .set = set_text<&Config::models_dir>,
              .show = show_text<&Config::models_dir>,
              .variables = kModels,
              .is_path = true,
              .reloads = false},
    ConfigKey{.name = "socket",
              .form = "PATH",
              .about = "Where to listen",
              .set = set_text<&Config::socket>,
              .show = show_text<&Config::socket>,
              .is_path = true,
              .reloads = false},
    ConfigKey{.name = "socket_group",
              .form = "GROUP",
              .about = "Let members of this group in, socket mode 0660",
              .set = set_text<&Config::socket_group>,
              .show = show_text<&Config::socket_group>,
              .reloads = false},
    ConfigKey{.name = "log_level",
              .form = "LEVEL",
              .about = "trace, debug, info, warning, error, critical or off (info)",
              .set = set_log_level,
              .show = show_text<&Config::log_level>},
    ConfigKey{.name = "idle_time",
              .form = "DURATION",
              .about = "With --on-demand: leave after so long (10m)",
              .set = set_duration<&Config::idle_time>,
              .show = show_duration<&Config::idle_time>},
    ConfigKey{.name = "limit_rate",
              .form = "RATE",
              .about = "Bandwidth limit over all transfers: 5M, 800k or off",
              .set = set_rate,
              .show = show_rate},
    ConfigKey{.name = "connections",
              .form = "N",
              .about = "Connections to one blob, 1 to 16, or auto",
              .set = set_connections,
              .show = show_connections},
    ConfigKey{.name = "parallel_models",
              .form = "N",
              .about = "Models of the queue at a time, 1 to 16 (1)",
              .set = set_parallel_models,
              .show = show_parallel_models},
    ConfigKey{.name = "user_agent",
              .form = "TEXT",
              .about = "What registries are told we are",
              .set = set_user_agent,
              .show = show_text<&Config::user_agent>},
    ConfigKey{.name = "http_proxy",
              .form = "URL",
              .about = "Proxy for http://",
              .set = set_network<&NetworkEnvironment::http_proxy>,
              .show = show_network<&NetworkEnvironment::http_proxy>,
              .variables = kHttpProxy,
              .doubt = doubt_proxy<&NetworkEnvironment::http_proxy>},
    ConfigKey{.name = "https_proxy",
              .form = "URL",
              .about = "Proxy for https://",
              .set = set_network<&NetworkEnvironment::https_proxy>,
              .show = show_network<&NetworkEnvironment::https_proxy>,
              .variables = kHttpsProxy,
              .doubt = doubt_proxy<&NetworkEnvironment::https_proxy>},
    ConfigKey{.name = "no_proxy",
              .form = "LIST",
              .about = "Hosts, networks that are reached without a proxy",
              .set = set_network<&NetworkEnvironment::no_proxy>,
              .show = show_network<&NetworkEnvironment::no_proxy>,
              .variables = kNoProxy,
              .doubt = doubt_no_proxy},
    ConfigKey{.name = "ca_file",
              .form = "FILE",
              .about = "CA certificates to trust (the system's)",
              .set = set_cas<&TrustedCas::file>,
              .show = show_cas<&TrustedCas::file>,
              .variables = kCaFile,
              .is_path = true,
              .doubt = doubt_cas<&TrustedCas::file>},
    ConfigKey{.name = "ca_dir",
              .form = "DIR",
              .about = "Hashed folder of CA certificates",
              .set = set_cas<&TrustedCas::folder>,
              .show = show_cas<&TrustedCas::folder>,
              .variables = kCaFolder,
              .is_path = true,
              .doubt = doubt_cas<&TrustedCas::folder>},
    ConfigKey{.name = "mirror",
              .form = "\"HOST URL\"",
              .about = "Ask that registry before this host; repeatable",
              .set = set_mirror,
              .show = show_mirror,
              .is_list = true},
    ConfigKey{.name = "noprune",
              .form = "true|false",
              .about = "Keep blobs that only a replaced manifest named (false)",
              .set = set_noprune,
              .show = show_noprune,
              .variables = kNoPrune,
              .is_switch = true},
    ConfigKey{.name = "on_finished",
              .form = "COMMAND",
              .about = "Run this, without a shell, after each transfer that completed or failed",
              .set = set_on_finished,
              .show = show_on_finished,
              .is_quoted = true},
    ConfigKey{.name = "on_finished_limit",
              .form = "DURATION",
              .about = "End that command after this long (5m)",
              .set = set_on_finished_limit,
              .show = show_duration<&Config::on_finished_limit>},
};

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

const ConfigKey* find_config_key(std::string_view name) {
  const auto at = std::find_if(kKeys.begin(), kKeys.end(), [&](const ConfigKey& key) { return key.name == name; });
  return at == kKeys.end() ? nullptr : &*at;
}

std::string flag_of(const ConfigKey& key) {
  std::string flag = fmt::format("--{}", key.name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::vector<std::string> variables_of(const ConfigKey& key) {
  if (!key.variables.empty()) return {key.variables.begin(), key.variables.end()};
  std::string variable = fmt::format("PULLAMA_{}", key.name);
  for (char& letter : variable) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return {variable};
}

std::string trimmed_variable(std::string value) {
  const auto trim = [&](const char* characters) {
    value.erase(value.find_last_not_of(characters) + 1);
    value.erase(0, value.find_first_not_of(characters));
  };
  trim(" \t\r\n\v\f");
  trim("\"'");
  return value;
}

}  // namespace pullama
