#pragma once
// `pullama doctor`: what goes wrong in practice, looked at one thing after the other (check.h), each with its remedy.
// PROTOCOL.md lists the checks.

#include <string>
#include <vector>

#include "common/model_name.h"
#include "daemon/check.h"
#include "daemon/config.h"
#include "daemon/io/clock.h"
#include "daemon/registry/http.h"
#include "daemon/registry/url.h"
#include "daemon/stores.h"

namespace pullama {

// What is looked at: values, and what lives as long as the process.
struct Patient {
  Stores& stores;
  registry::Http& http;
  const io::Clock& clock;
  Configured configured;
  std::string key_file;
  std::string socket;  // where we listen
  bool socket_was_handed_over = false;
  std::string models_dir{};                 // absolute
  std::vector<registry::Url> registries{};  // "https://registry.ollama.ai", "http://cache:5000"
  std::string ca_file{};                    // trusted for this question instead of the configured ones; may be empty
};

// In their order: the daemon itself, the store, the key, then each registry.
std::vector<Check> doctor_checks(const Patient& patient);

// Parts of it.
std::vector<Check> daemon_checks(const Patient& patient);
std::vector<Check> store_checks(const Patient& patient);
std::vector<Check> registry_checks(const Patient& patient, const registry::Url& url);

// The registries to ask: those that models come from, else registry.ollama.ai and the configured mirrors; each once,
// and only so many. kInvalidArgument where a model's host is none.
Result<std::vector<registry::Url>> registries_to_ask(const std::vector<ModelName>& models, bool insecure,
                                                     const Config& config);

}  // namespace pullama
