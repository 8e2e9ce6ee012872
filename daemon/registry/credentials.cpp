#include "daemon/registry/credentials.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/json_text.h"
#include "daemon/registry/ascii.h"
#include "daemon/registry/base64.h"
#include "daemon/registry/secret_file.h"

namespace pullama::registry {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxDockerConfigBytes = 1 << 20;

// Docker's keys are hosts, hosts with a scheme, or whole URLs ("https://index.docker.io/v1/").
std::string host_of(std::string_view key) {
  if (const auto scheme = key.find("://"); scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  return lower(key.substr(0, key.find('/')));
}

std::string text_of(const Json& entry, const char* name) {
  const auto value = entry.find(name);
  return value != entry.end() && value->is_string() ? value->get<std::string>() : std::string();
}

// "user:password", or nothing where the entry has none (credential stores leave empty entries).
std::string user_and_password(const Json& entry) {
  if (!entry.is_object()) return {};
  if (const auto auth = text_of(entry, "auth"); !auth.empty()) {
    auto decoded = from_base64(auth);
    if (!decoded) return {};
    // Docker itself pads passwords with NUL.
    while (!decoded->empty() && decoded->back() == '\0') decoded->pop_back();
    return decoded->find(':') == std::string::npos ? std::string() : *decoded;
  }
  const auto user = text_of(entry, "username");
  return user.empty() ? std::string() : user + ":" + text_of(entry, "password");
}

}  // namespace

std::string Credentials::key_hint() const {
  constexpr std::string_view kUsual = "/.ollama/id_ed25519";
  return "check " + (paths_.key_file.ends_with(kUsual) ? "~" + std::string(kUsual) : paths_.key_file);
}

Result<std::unique_ptr<SshKey>> Credentials::key() const { return SshKey::load(paths_.key_file); }

Result<std::optional<std::string>> Credentials::basic(std::string_view host) const {
  using Found = Result<std::optional<std::string>>;
  if (paths_.docker_config.empty()) return Found(std::nullopt);
  auto file = read_secret_file(paths_.docker_config, kMaxDockerConfigBytes);
  if (!file) {
    if (file.error().code == ErrorCode::kNotFound) return Found(std::nullopt);
    return fail(ErrorCode::kAuthFailed, file.error().message, "check " + paths_.docker_config);
  }
  const auto config = Json::parse(file->content, nullptr, false);
  const bool whole = !holds_nul(file->content);
  wipe(file->content);
  if (!whole || !config.is_object()) {
    return fail(ErrorCode::kAuthFailed, paths_.docker_config + " is not a JSON object",
                "check " + paths_.docker_config);
  }
  const auto auths = config.find("auths");
  if (auths == config.end() || !auths->is_object()) return Found(std::nullopt);
  const std::string wanted = lower(host);
  for (const auto& [name, entry] : auths->items()) {
    if (host_of(name) != wanted) continue;
    auto pair = user_and_password(entry);
    if (pair.empty()) continue;
    auto encoded = base64(pair);
    wipe(pair);
    return Found(std::move(encoded));
  }
  return Found(std::nullopt);
}

}  // namespace pullama::registry
