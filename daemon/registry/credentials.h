#pragma once
// What the daemon's user can show a registry: the Ed25519 key that Ollama made, and what `docker login` wrote. Read
// from disk at each need and not before, so that a pull without a token needs no key and a mended file is seen at once.
// Thread-safe.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "daemon/registry/ssh_key.h"

namespace pullama::registry {

struct CredentialPaths {
  std::string key_file;       // ~/.ollama/id_ed25519
  std::string docker_config;  // $DOCKER_CONFIG/config.json, else ~/.docker/config.json
  std::string user;           // whose they are, for messages: the daemon's user
};

// By the process's environment ($HOME, $DOCKER_CONFIG), else by the user's home in the password database.
CredentialPaths default_credential_paths();

class Credentials {
 public:
  explicit Credentials(CredentialPaths paths) : paths_(std::move(paths)) {}

  const CredentialPaths& paths() const { return paths_; }
  // "check ~/.ollama/id_ed25519", for a person whom a registry refuses.
  std::string key_hint() const;

  // As SshKey::load: kNotFound where there is no key, kAuthFailed where it cannot be used.
  Result<std::unique_ptr<SshKey>> key() const;

  // base64 of "user:password" for a host (with ":port" where it is not the scheme's own), from the `auths` of Docker's
  // config; nullopt where it names none. Credential stores and identity tokens are not asked. kAuthFailed where the
  // file cannot be read.
  Result<std::optional<std::string>> basic(std::string_view host) const;

 private:
  CredentialPaths paths_;
};

}  // namespace pullama::registry
