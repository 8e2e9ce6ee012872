#include "daemon/config.h"

#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "common/printable.h"
#include "daemon/config_keys.h"

namespace pullama {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string_view without_quotes(std::string_view value) {
  const bool quoted = value.size() > 1 && value.front() == value.back() && (value[0] == '"' || value[0] == '\'');
  return quoted ? value.substr(1, value.size() - 2) : value;
}

std::string absolute(const std::string& path, const std::string& folder) {
  std::string normal = (std::filesystem::path(folder) / path).lexically_normal().string();
  while (normal.size() > 1 && normal.ends_with('/')) normal.pop_back();
  return normal;
}

// As Ollama reads its switches: what is no known word counts as on.
bool is_off(std::string_view value) {
  constexpr std::array<std::string_view, 6> kOff{"0", "f", "F", "false", "FALSE", "False"};
  return std::find(kOff.begin(), kOff.end(), value) != kOff.end();
}

// Where a list came from: "/etc/p.conf:2, 5".
std::string and_from(const std::string& first, const std::string& more) {
  const std::size_t colon = more.rfind(':');
  if (first == more || colon == std::string::npos || !first.starts_with(more.substr(0, colon + 1))) return more;
  return first + ", " + more.substr(colon + 1);
}

// Takes the values of one place: a file, the variables, or the flags.
class Taker {
 public:
  // An empty folder: relative paths mean nothing here. `wrong`: the keys whose last word could not be used.
  Taker(Configured& into, std::set<std::string>& wrong, const ConfigPlaces& places, std::string folder)
      : into_(into), wrong_(wrong), places_(places), folder_(std::move(folder)) {}

  Status take(const ConfigKey& key, std::string value, const std::string& from) {
    auto taken = take_value(key, std::move(value), from);
    const std::string name(key.name);
    if (!taken) {
      wrong_.insert(name);
      wrong_here_.insert(name);
    } else if (!key.is_list || !wrong_here_.contains(name)) {  // a list is wrong where any of it is
      wrong_.erase(name);
    }
    return taken;
  }

 private:
  Status take_value(const ConfigKey& key, std::string value, const std::string& from) {
    if (value.find('\0') != std::string::npos) return fail(ErrorCode::kInvalidArgument, "there is a NUL in it");
    if (key.is_path && !value.empty()) {
      if (value.starts_with("~/") && !places_.home.empty()) {
        value = places_.home + value.substr(1);
      } else if (!value.starts_with('/') && folder_.empty()) {
        return fail(ErrorCode::kInvalidArgument, fmt::format("{} is not an absolute path", printable(value, 200)));
      }
      value = absolute(value, folder_);
    }
    // Only what is right pushes the list of a weightier place away.
    Config before = into_.config;
    if (key.is_list && !seen_.contains(std::string(key.name))) {
      if (auto cleared = key.set(into_.config, {}); !cleared) return cleared;
    }
    if (auto set = key.set(into_.config, value); !set) {
      into_.config = std::move(before);
      return set;
    }
    const std::string name(key.name);
    const bool is_more = !seen_.insert(name).second && key.is_list;
    const auto old_from = into_.from.find(name);
    if (value.empty()) {
      if (old_from != into_.from.end()) old_from->second = from;  // which took away what another one said
      into_.values.erase(name);
    } else {
      into_.from[name] = is_more && old_from != into_.from.end() ? and_from(old_from->second, from) : from;
      std::vector<std::string>& values = into_.values[name];
      if (!is_more) values.clear();
      values.push_back(std::move(value));
    }
    return {};
  }

  Configured& into_;
  std::set<std::string>& wrong_;
  const ConfigPlaces& places_;
  const std::string folder_;
  std::set<std::string> seen_, wrong_here_;
};

// What is wrong with the line; it is then passed over.
Status take_line(Taker& taker, std::string_view line, const std::string& from) {
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return {};
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return fail(ErrorCode::kInvalidArgument, "no `key = value`");
  const std::string name(trimmed(line.substr(0, equals)));
  const ConfigKey* key = find_config_key(name);
  if (key == nullptr) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("there is no key \"{}\"", printable(name, 64)));
  }
  const std::string_view value = trimmed(line.substr(equals + 1));
  auto taken = taker.take(*key, std::string(key->is_quoted ? value : without_quotes(value)), from);
  if (!taken) return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", name, taken.error().message));
  return taken;
}

void take_file(Configured& result, Taker taker, const ConfigFile& file, std::string_view then) {
  std::string_view rest = file.text;
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  if (rest.starts_with(kMark)) rest.remove_prefix(kMark.size());
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string from = fmt::format("{}:{}", file.path, number);
    if (auto taken = take_line(taker, rest.substr(0, end), from); !taken) {
      result.warnings.push_back(fmt::format("{}: {}; {}", from, taken.error().message, then));
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// The key as it was.
void keep(Configured& result, const Configured& before, const ConfigKey& key) {
  const std::string name(key.name);
  result.from.erase(name);
  result.values.erase(name);
  [[maybe_unused]] const Status cleared = key.set(result.config, {});
  const auto values = before.values.find(name);
  if (values == before.values.end()) return;
  for (const std::string& value : values->second) {
    [[maybe_unused]] const Status set = key.set(result.config, value);  // it was taken before
  }
  result.from[name] = before.from.at(name);
  result.values.insert(*values);
}

Error wrong(const std::string& where, const Error& error) {
  return {ErrorCode::kInvalidArgument, fmt::format("{}: {}", where, error.message), {}, 0};
}

Status take_variables(Taker& taker, const std::function<std::optional<std::string>(const std::string&)>& environment) {
  for (const ConfigKey& key : config_keys()) {
    for (const std::string& name : variables_of(key)) {
      auto value = environment(name);
      if (value && !key.is_quoted) value = trimmed_variable(*value);
      if (value && !value->empty() && key.is_switch) value = is_off(*value) ? "false" : "true";
      // An empty $PULLAMA_… takes a file's value away; the common ones count as not there.
      if (!value || (value->empty() && !key.variables.empty())) continue;
      if (auto taken = taker.take(key, *value, "$" + name); !taken) return fail(wrong("$" + name, taken.error()));
      break;
    }
  }
  return {};
}

}  // namespace

Result<Configured> configure(std::span<const ConfigFile> files,
                             const std::function<std::optional<std::string>(const std::string&)>& environment,
                             std::span<const Setting> flags, const ConfigPlaces& places, const Configured* before) {
  Configured result;
  std::set<std::string> wrong_keys;
  for (const ConfigFile& file : files) {
    take_file(result, Taker(result, wrong_keys, places, {}), file,
              before == nullptr ? "the line is passed over" : "the line is passed over, the value before it stays");
  }
  Taker variables(result, wrong_keys, places, places.folder);
  if (auto taken = take_variables(variables, environment); !taken) return fail(taken.error());
  Taker words(result, wrong_keys, places, places.folder);
  for (const Setting& flag : flags) {
    const ConfigKey* key = find_config_key(flag.key);
    if (key == nullptr) return fail(ErrorCode::kInternal, fmt::format("no key {}", flag.key));
    auto taken = words.take(*key, flag.value, flag_of(*key));
    if (!taken) return fail(wrong(flag_of(*key), taken.error()));
  }
  if (before != nullptr) {
    for (const std::string& name : wrong_keys) keep(result, *before, *find_config_key(name));
  }
  Config& config = result.config;
  if (config.models_dir.empty()) {
    if (places.home.empty()) {
      return fail(ErrorCode::kInvalidArgument, "there is no home folder: --models-dir must name the models dir");
    }
    config.models_dir = absolute(places.home + "/.ollama/models", "/");
  }
  for (const ConfigKey& key : config_keys()) {
    const std::string why = key.doubt == nullptr ? std::string() : key.doubt(config, places.exists);
    const auto from = result.from.find(std::string(key.name));
    if (why.empty() || from == result.from.end()) continue;
    result.warnings.push_back(fmt::format("{}: {}: {}", from->second, key.name, why));
  }
  auto& cas = config.network.cas;
  if (cas.file.empty() && cas.folder.empty()) cas = registry::find_trusted_cas(places.exists);
  return result;
}

}  // namespace pullama
