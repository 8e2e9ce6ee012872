#pragma once
// The daemon's settings: a table of keys (config_keys.h), and the places that a value may come from. The first of these
// that names a key has the word: a flag (--on-finished), a variable ($PULLAMA_ON_FINISHED, or the ones that everybody
// knows: $OLLAMA_MODELS, $HTTPS_PROXY), the user's file ($XDG_CONFIG_HOME/pullama/pullamad.conf), the machine's
// (/etc/pullama/pullamad.conf). Pure; config_file.h reads.
//
// A file is lines `key = value`: blanks around both do not count, a line that begins with # is a comment, an empty
// value is the default, quotes around a whole value are taken off. A line that cannot be used is passed over with a
// warning that names file and line: a typing error keeps nobody from downloading. A wrong flag or variable is an error.
// A file may begin with the byte order mark of UTF-8.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/registry/mirror.h"
#include "daemon/registry/network_environment.h"

namespace pullama {

struct Config {
  std::string models_dir;    // absolute
  std::string socket;        // absolute; empty: where PROTOCOL.md says
  std::string socket_group;  // whose members are let in; empty: nobody but us and root
  std::string log_level = "info";
  std::chrono::milliseconds idle_time{std::chrono::minutes(10)};  // of an on-demand daemon
  std::optional<std::uint64_t> limit_rate;                        // bytes a second; these three: unset, as last set
  std::optional<unsigned> connections;                            // 0: found out
  std::optional<unsigned> parallel_models;
  std::string user_agent;                // empty: our own
  registry::NetworkEnvironment network;  // proxies and trusted CAs
  std::vector<registry::Mirror> mirrors;
  bool noprune = false;                  // keep blobs that only a replaced manifest named
  std::vector<std::string> on_finished;  // a command, in words (command_words.h); none: nothing is run
  std::chrono::milliseconds on_finished_limit{std::chrono::minutes(5)};
};

struct ConfigFile {
  std::string path;
  std::string text;
};
// A flag that was given: the key's name and its value.
struct Setting {
  std::string key, value;
};

// What a value may refer to without saying it.
struct ConfigPlaces {
  std::string folder;                                   // that relative paths of flags and variables are meant in
  std::string home;                                     // of a value that begins with ~/
  std::function<bool(const std::string& path)> exists;  // where distributions keep CAs is looked for
};

struct Configured {
  Config config;
  std::map<std::string, std::string> from;  // key → "--socket", "$OLLAMA_MODELS", "/etc/…:3"; not there: the default
  std::vector<std::string> warnings;
  std::map<std::string, std::vector<std::string>> values;  // of the keys in `from`, as they were given
};
// `files` in the order of their weight, the weightiest last. kInvalidArgument names the flag or variable that is wrong,
// or says that there is no home folder and nothing names the models dir. `before`: what was read last time; a key whose
// line is wrong now keeps its value.
Result<Configured> configure(std::span<const ConfigFile> files,
                             const std::function<std::optional<std::string>(const std::string&)>& environment,
                             std::span<const Setting> flags, const ConfigPlaces& places,
                             const Configured* before = nullptr);

}  // namespace pullama
