#include "daemon/config.h"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cctype>

#include "common/duration_text.h"
#include "common/printable.h"
#include "daemon/command_words.h"

namespace pullama {
namespace {

constexpr std::chrono::hours kLongestCommand{1};

Status set_on_finished(Config& config, const std::string& value) {
  auto words = split_command(value);
  if (!words) return fail(words.error());
  config.on_finished = std::move(*words);
  return {};
}

Status set_on_finished_limit(Config& config, const std::string& value) {
  if (value.empty()) {
    config.on_finished_limit = Config().on_finished_limit;
    return {};
  }
  const auto limit = parse_duration(value, "on_finished_limit");
  if (!limit) return fail(limit.error());
  if (*limit > kLongestCommand) return fail(ErrorCode::kInvalidArgument, "on_finished_limit is at most 1h");
  config.on_finished_limit = *limit;
  return {};
}

constexpr std::array kKeys{
    ConfigKey{"on_finished", "COMMAND", "Run this, without a shell, after each transfer that completed or failed",
              set_on_finished},
    ConfigKey{"on_finished_limit", "DURATION", "End that command after this long (5m)", set_on_finished_limit},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

const ConfigKey* find_key(std::string_view name) {
  const auto at = std::find_if(kKeys.begin(), kKeys.end(), [&](const ConfigKey& key) { return key.name == name; });
  return at == kKeys.end() ? nullptr : &*at;
}

// What is wrong with the line; it is then passed over.
Status take_line(Config& config, std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return {};
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "no `key = value`");
  const std::string name(trimmed(line.substr(0, equals)));
  const ConfigKey* key = find_key(name);
  if (key == nullptr) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("there is no key \"{}\"", printable(name, 64)));
  }
  return key->set(config, std::string(trimmed(line.substr(equals + 1))));
}

void take_file(Configured& result, const ConfigFile& file) {
  std::string_view rest = file.text;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    if (auto taken = take_line(result.config, rest.substr(0, end)); !taken) {
      result.warnings.push_back(
          fmt::format("{}:{}: {}; the line is passed over", file.path, number, taken.error().message));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

std::string flag_of(const ConfigKey& key) {
  std::string flag = fmt::format("--{}", key.name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string variable_of(const ConfigKey& key) {
  std::string variable = fmt::format("PULLAMA_{}", key.name);
  for (char& letter : variable) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return variable;
}

Result<Configured> configure(std::span<const ConfigFile> files,
                             const std::function<std::optional<std::string>(const std::string&)>& environment,
                             std::span<const Setting> flags) {
  Configured result;
  for (const ConfigFile& file : files) take_file(result, file);
  const auto wrong = [](const std::string& where, const Error& error) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", where, error.message));
  };
  for (const ConfigKey& key : kKeys) {
    const auto value = environment(variable_of(key));
    if (!value) continue;
    if (auto set = key.set(result.config, *value); !set) return wrong("$" + variable_of(key), set.error());
  }
  for (const Setting& flag : flags) {
    const ConfigKey* key = find_key(flag.key);
    if (key == nullptr) return fail(ErrorCode::kInternal, fmt::format("no key {}", flag.key));
    if (auto set = key->set(result.config, flag.value); !set) return wrong(flag_of(*key), set.error());
  }
  return result;
}

}  // namespace pullama
