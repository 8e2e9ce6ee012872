#pragma once
// Every setting of the daemon, once: its name, what its value looks like, where it may come from, how it is read and
// how it is shown. --help, the manual page and `pullama daemon status` follow this table.

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "daemon/config.h"

namespace pullama {

struct ConfigKey {
  std::string_view name;   // in a file: "on_finished"
  std::string_view form;   // of its value: "COMMAND"
  std::string_view about;  // for --help
  Status (*set)(Config& config, const std::string& value);
  std::string (*show)(const Config& config);      // without secrets; empty: nothing is set
  std::span<const std::string_view> variables{};  // the first that is set and not empty; none: $PULLAMA_<NAME>
  bool is_path = false;
  bool is_switch = false;  // a variable of Ollama's, which takes every word but a few as true
  bool is_list = false;    // may be given more than once in one place
  bool is_quoted = false;  // its quotes have a meaning of their own
  bool reloads = true;     // SIGHUP takes a new value
  // Why what is set will not do, though it is taken: passing over a proxy would lead around it. Empty: all is well.
  std::string (*doubt)(const Config& config, const std::function<bool(const std::string&)>& exists) = nullptr;
};
std::span<const ConfigKey> config_keys();
const ConfigKey* find_config_key(std::string_view name);
std::string flag_of(const ConfigKey& key);                    // "--on-finished"
std::vector<std::string> variables_of(const ConfigKey& key);  // "PULLAMA_ON_FINISHED"

// As Ollama reads its variables: spaces, then quotes are trimmed from both ends (registry-protocol.md 2.1).
std::string trimmed_variable(std::string value);

}  // namespace pullama
