#include "daemon/options.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "common/duration_text.h"
#include "common/printable.h"
#include "common/version.h"

namespace pullama {
namespace {

constexpr std::array<const char*, 7> kLevels{"trace", "debug", "info", "warning", "error", "critical", "off"};

constexpr const char* kFilesHelp =
    "\nFiles, `key = value` a line, # for comments; flags and variables go before them, the first before the second:\n"
    "  $XDG_CONFIG_HOME/pullama/pullamad.conf (~/.config/pullama/pullamad.conf)\n"
    "  /etc/pullama/pullamad.conf\n";

std::string absolute(const std::string& path, const std::string& folder) {
  std::string normal = (std::filesystem::path(folder) / path).lexically_normal().string();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return printable(text);
}

// As Ollama reads its switches: what is no known word counts as on.
bool is_set(const std::string& value) {
  constexpr std::array<std::string_view, 7> kOff{"", "0", "f", "F", "false", "FALSE", "False"};
  return std::find(kOff.begin(), kOff.end(), value) == kOff.end();
}

EarlyExit wrong(const std::string& what) {
  return {1, fmt::format("pullamad: {} (pullamad --help shows the right form)\n", one_line(what))};
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
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

tl::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments, const Environment& environment,
                                               const std::string& folder, const std::string& home) {
  Options options;
  std::string models_dir;
  std::string idle_limit;
  bool version = false;
  CLI::App app("The pullama daemon: transfers models and answers on a local socket. Stays in the foreground.",
               "pullamad");
  app.set_help_flag("-h,--help", "Show this and leave");
  app.add_flag("--version", version, "Show the version and leave");
  auto* socket = app.add_option("--socket", options.socket, "Where to listen")->type_name("PATH");
  auto* models = app.add_option("--models-dir", models_dir, "Where models are stored")->type_name("DIR");
  app.add_flag("--on-demand", options.on_demand, "Leave after ten idle minutes");
  app.add_option("--log-level", options.log_level, "trace, debug, info, warning, error, critical or off")
      ->type_name("LEVEL");
  app.add_option("--idle-limit", idle_limit)->group("");  // for tests of --on-demand
  for (const ConfigKey& key : config_keys()) {
    app.add_option_function<std::string>(
           flag_of(key),
           [&options, &key](const std::string& value) {
             options.settings.push_back({std::string(key.name), value});
           },
           fmt::format("{} (${})", key.about, variable_of(key)))
        ->type_name(std::string(key.form));
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return tl::unexpected(EarlyExit{0, app.help() + kFilesHelp});
  } catch (const CLI::ParseError& e) {
    return tl::unexpected(wrong(e.what()));
  }
  if (version) return tl::unexpected(EarlyExit{0, fmt::format("pullamad {}\n", kVersion)});
  if (socket->count() > 0 && options.socket.empty()) return tl::unexpected(wrong("--socket needs a path"));
  if (models->count() > 0 && models_dir.empty()) return tl::unexpected(wrong("--models-dir needs a folder"));
  if (!options.socket.empty()) options.socket = absolute(options.socket, folder);
  if (std::find(kLevels.begin(), kLevels.end(), options.log_level) == kLevels.end()) {
    return tl::unexpected(wrong(fmt::format(
        "--log-level: {} is none of trace, debug, info, warning, error, critical, off", options.log_level)));
  }
  if (!idle_limit.empty()) {
    const auto parsed = parse_duration(idle_limit, "--idle-limit");
    if (!parsed) return tl::unexpected(wrong(parsed.error().message));
    options.idle_limit = *parsed;
  }
  if (models_dir.empty()) models_dir = trimmed_variable(environment("OLLAMA_MODELS").value_or(""));
  if (models_dir.empty()) {
    std::string base = environment("HOME").value_or("");
    if (base.empty()) base = home;
    if (base.empty()) return tl::unexpected(wrong("there is no home folder: --models-dir must name the models dir"));
    models_dir = base + "/.ollama/models";
  }
  options.models_dir = absolute(models_dir, folder);
  options.user_agent = trimmed_variable(environment("PULLAMA_USER_AGENT").value_or(""));
  options.prune = !is_set(trimmed_variable(environment("OLLAMA_NOPRUNE").value_or("")));
  return options;
}

}  // namespace pullama
