#include "daemon/options.h"

#include <fmt/core.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "common/printable.h"
#include "common/version.h"
#include "daemon/config_keys.h"

namespace pullama {
namespace {

EarlyExit wrong(const std::string& what) { return {1, wrong_words(what)}; }

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string wrong_words(const std::string& what) {
  std::string line = what;
  std::replace(line.begin(), line.end(), '\n', ' ');
  return fmt::format("pullamad: {} (pullamad --help shows the right form)\n", printable(line));
}

tl::expected<Options, EarlyExit> parse_options(std::vector<std::string> arguments) {
  Options options;
  bool version = false;
  CLI::App app;
  app.set_help_flag("-h,--help");
  app.add_flag("--version", version);
  app.add_flag("--on-demand", options.on_demand);
  for (const ConfigKey& key : config_keys()) {
    auto* flag = app.add_option_function<std::vector<std::string>>(
        flag_of(key), [&options, &key](const std::vector<std::string>& values) {
          for (const std::string& value : values) options.settings.push_back({std::string(key.name), value});
        });
    flag->type_size(1)->expected(1);
    flag->multi_option_policy(key.is_list ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::Throw);
    flag->allow_extra_args(false);
  }
  try {
    std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return tl::unexpected(EarlyExit{0, daemon_help()});
  } catch (const CLI::ParseError& e) {
    return tl::unexpected(wrong(e.what()));
  }
  if (version) return tl::unexpected(EarlyExit{0, fmt::format("pullamad {}\n", kVersion)});
  for (const Setting& setting : options.settings) {
    if (setting.value.empty()) return tl::unexpected(wrong(flag_of(*find_config_key(setting.key)) + " needs a value"));
  }
  return options;
}

}  // namespace pullama
