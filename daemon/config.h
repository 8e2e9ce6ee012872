#pragma once
// The daemon's settings beyond its command line's few: a table of keys, and the places that a value may come from. The
// first of these that names a key has the word: a flag (--on-finished), a variable ($PULLAMA_ON_FINISHED), the user's
// file ($XDG_CONFIG_HOME/pullama/pullamad.conf), the machine's (/etc/pullama/pullamad.conf). Pure; config_file.h reads.
//
// A file is lines `key = value`: blanks around both do not count, a line that begins with # is a comment, an empty
// value is the default. A line that cannot be used is passed over with a warning that names file and line: a typing
// error keeps nobody from downloading. A wrong flag or variable is an error.

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace pullama {

struct Config {
  std::vector<std::string> on_finished;  // a command, in words (command_words.h); none: nothing is run
  std::chrono::milliseconds on_finished_limit{std::chrono::minutes(5)};
};

struct ConfigKey {
  std::string_view name;   // in a file: "on_finished"
  std::string_view form;   // of its value: "COMMAND"
  std::string_view about;  // one line for --help
  Status (*set)(Config& config, const std::string& value);
};
std::span<const ConfigKey> config_keys();
std::string flag_of(const ConfigKey& key);      // "--on-finished"
std::string variable_of(const ConfigKey& key);  // "PULLAMA_ON_FINISHED"

struct ConfigFile {
  std::string path;
  std::string text;
};
// A flag that was given: the key's name and its value.
struct Setting {
  std::string key, value;
};

struct Configured {
  Config config;
  std::vector<std::string> warnings;
};
// `files` in the order of their weight, the weightiest last. kInvalidArgument names the flag or variable that is wrong.
Result<Configured> configure(std::span<const ConfigFile> files,
                             const std::function<std::optional<std::string>(const std::string&)>& environment,
                             std::span<const Setting> flags);

}  // namespace pullama
