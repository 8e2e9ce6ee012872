#include "daemon/doctor.h"

#include <fmt/core.h>
#include <algorithm>
#include <filesystem>
#include <iterator>

#include "common/printable.h"
#include "common/version.h"
#include "daemon/process.h"
#include "daemon/registry/ssh_key.h"
#include "proto/results.h"

namespace pullama {
namespace {

using std::chrono::seconds;
namespace fs = std::filesystem;

constexpr seconds kLocalLimit{5};
constexpr std::size_t kMostRegistries = 8;
constexpr const char* kOllama = "https://registry.ollama.ai";

std::vector<Finding> look_at_version() {
  const std::string self = fmt::format("pullamad {}, protocol {}", kVersion, proto::kProtocolVersion);
  if (!is_program_replaced()) return {{"version", kOk, self, ""}};
  return {{"version", kWarning, self + ", whose file was replaced since it started",
           "start the new one: pullama daemon stop, then pullama daemon start"}};
}

std::vector<Finding> look_at_config(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return {{"config", kOk, "every line of the configuration is understood", ""}};
  std::vector<Finding> found;
  found.reserve(warnings.size());
  for (const std::string& warning : warnings) {
    found.push_back({"config", kWarning, printable(warning, 500), "see pullamad.conf(5)"});
  }
  return found;
}

std::vector<Finding> look_at_socket(const std::string& path, bool was_handed_over) {
  const std::string shown = printable(path, 300);
  std::error_code fault;
  const auto status = fs::symlink_status(path, fault);
  if (fault || status.type() != fs::file_type::socket) {
    return {{"socket", kFailed, fmt::format("{} is gone, so that nobody finds this daemon any more", shown),
             was_handed_over ? "restart its unit: systemctl --user restart pullamad.socket"
                             : "end this daemon (SIGTERM) and start it again"}};
  }
  if ((status.permissions() & fs::perms::others_write) != fs::perms::none) {
    return {{"socket", kWarning,
             fmt::format("{} takes connections of every user of this machine, though strangers are refused", shown),
             fmt::format("chmod o-rwx {}; socket_group lets a group in", shown)}};
  }
  return {
      {"socket", kOk, fmt::format("{}{}", shown, was_handed_over ? ", handed over by the service manager" : ""), ""}};
}

std::vector<Finding> look_at_key(const std::string& path) {
  const std::string shown = printable(path, 300);
  const auto key = registry::SshKey::load(path);
  if (!key && key.error().code == ErrorCode::kNotFound) {
    return {{"key", kSkipped, fmt::format("there is none at {}; public models need none", shown),
             "pullama key create makes one"}};
  }
  if (!key) return {{"key", kFailed, printable(key.error().message, 500), key.error().hint}};
  std::error_code fault;
  const auto mode = fs::status(path, fault).permissions();
  if (!fault && (mode & (fs::perms::group_read | fs::perms::group_write)) != fs::perms::none) {
    return {{"key", kWarning, fmt::format("{} may be read by its group", shown), fmt::format("chmod 600 {}", shown)}};
  }
  return {{"key", kOk, fmt::format("{} can sign", shown), ""}};
}

}  // namespace

std::vector<Check> daemon_checks(const Patient& patient) {
  return {
      {"version", kLocalLimit, [](const std::stop_token&) { return look_at_version(); }},
      {"config", kLocalLimit,
       [warnings = patient.configured.warnings](const std::stop_token&) { return look_at_config(warnings); }},
      {"socket", kLocalLimit,
       [path = patient.socket, handed_over = patient.socket_was_handed_over](const std::stop_token&) {
         return look_at_socket(path, handed_over);
       }},
  };
}

std::vector<Check> doctor_checks(const Patient& patient) {
  std::vector<Check> checks = daemon_checks(patient);
  const auto add = [&](std::vector<Check> more) { std::move(more.begin(), more.end(), std::back_inserter(checks)); };
  add(store_checks(patient));
  checks.push_back(
      {"key", kLocalLimit, [path = patient.key_file](const std::stop_token&) { return look_at_key(path); }});
  for (const registry::Url& url : patient.registries) add(registry_checks(patient, url));
  return checks;
}

Result<std::vector<registry::Url>> registries_to_ask(const std::vector<ModelName>& models, bool insecure,
                                                     const Config& config) {
  std::vector<std::string> origins;
  origins.reserve(models.size());
  for (const ModelName& model : models) origins.push_back((insecure ? "http://" : "https://") + model.host());
  if (models.empty()) {
    origins.emplace_back(kOllama);
    for (const auto& mirror : config.mirrors) origins.push_back(mirror.origin);
  }
  std::vector<registry::Url> urls;
  for (const std::string& origin : origins) {
    auto url = registry::Url::parse(origin);
    if (!url) return fail(url.error());
    const bool is_known =
        std::any_of(urls.begin(), urls.end(), [&](const registry::Url& known) { return known.same_origin(*url); });
    if (!is_known && urls.size() < kMostRegistries) urls.push_back(std::move(*url));
  }
  return urls;
}

}  // namespace pullama
