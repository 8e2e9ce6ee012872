#include <fmt/format.h>

#include "client/autostart.h"
#include "client/commands/commands.h"
#include "client/version_words.h"
#include "common/duration_text.h"
#include "common/printable.h"
#include "common/size_text.h"
#include "common/version.h"
#include "proto/errors.h"
#include "proto/json_object.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using namespace std::chrono_literals;

bool is_nobody(const Error& error) { return error.code == ErrorCode::kNetwork; }

std::string count_text(const proto::JobCounts& jobs) {
  std::string out;
  const auto add = [&](std::uint64_t count, const char* name) {
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", count, name);
  };
  add(jobs.active, "active");
  add(jobs.queued, "queued");
  add(jobs.waiting_network, "waiting for the network");
  add(jobs.waiting_space, "waiting for room");
  add(jobs.paused, "paused");
  add(jobs.failed, "failed");
  add(jobs.completed, "completed");
  add(jobs.cancelled, "cancelled");
  return out.empty() ? "none" : out;
}

void show(Context& context, const proto::DaemonInfo& info) {
  const auto row = [&](const char* name, const std::string& value) {
    say(context, fmt::format("{:<12}{}", name, value));
  };
  row("daemon", fmt::format("running, pid {}", info.pid));
  row("version", info.version);
  if (const auto notice = version_notice(info.version, info.pid, kVersion, context.link.is_system()); !notice.empty()) {
    say(context, fmt::format("{:<12}{}", "", notice));
  }
  row("uptime", format_duration(std::chrono::seconds(std::min<std::uint64_t>(info.uptime_s, 1ULL << 40))));
  row("socket", info.socket);
  row("models dir", info.models_dir);
  if (const auto& network = info.network; network) {
    const auto named = [](const std::string& text) { return text.empty() ? "none" : printable(text, 500); };
    row("https proxy", named(network->https_proxy));
    row("http proxy", named(network->http_proxy));
    row("no proxy", named(network->no_proxy));
    row("trusts", named(network->ca_file.empty() ? network->ca_dir : network->ca_file));
  }
  row("jobs", count_text(info.jobs));
  row("rate", format_rate(info.rate));
  row("limit", info.limits.rate == 0 ? std::string("none") : format_rate(static_cast<double>(info.limits.rate)));
  if (!info.settings.empty()) say(context, "");
  for (const proto::DaemonSetting& setting : info.settings) {
    const std::string value = setting.value.empty() ? "-" : printable(setting.value, 500);
    say(context, fmt::format("{:<20}{} ({})", printable(setting.key, 64), value, printable(setting.from, 500)));
  }
  for (const std::string& warning : info.warnings) say(context, "warning: " + printable(warning, 500));
}

}  // namespace

int run_daemon_status(Context& context) {
  const auto info = context.link.hello();
  if (!info) {
    if (!is_nobody(info.error())) return report(context, info.error());
    return report(context, Error{ErrorCode::kNetwork, "the daemon is not running: " + info.error().message,
                                 "start it with pullama daemon start", 0});
  }
  if (context.options.is_json()) {
    document(context, proto::write(*info));
  } else {
    show(context, *info);
  }
  return 0;
}

int run_daemon_start(Context& context) {
  auto info = context.link.hello();
  const bool was_there = info.has_value();
  if (!info && is_nobody(info.error())) {
    if (auto connection = context.link.start(); !connection) return report(context, connection.error());
    info = context.link.hello();
  }
  if (!info) return report(context, info.error());
  if (context.options.is_json()) {
    document(context, proto::write(*info));
  } else {
    say(context, fmt::format("the daemon {}, pid {}, at {}", was_there ? "was running already" : "is running",
                             info->pid, info->socket));
  }
  return 0;
}

int run_daemon_stop(Context& context) {
  const auto info = context.link.hello();
  if (!info) {
    if (!is_nobody(info.error())) return report(context, info.error());
    if (context.options.is_json()) {
      document(context, proto::JsonObject().add("stopped", false).str());
    } else {
      say(context, "the daemon is not running");
    }
    return 0;
  }
  const auto connection = context.link.open_running();
  if (!connection) return report(context, connection.error());
  const auto reply = (*connection)->call<proto::NoResult>(proto::method::kDaemonShutdown, proto::ShutdownParams{});
  if (!reply && context.link.is_open()) return report(context, reply.error());
  // It is gone when it lets go of us: two seconds for the checkpoints, and some more for a slow disk.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (context.link.is_open() && std::chrono::steady_clock::now() < end) {
    if (!context.link.next_event(200ms, -1)) break;
  }
  if (context.link.is_open()) {
    return report(context, Error{ErrorCode::kInternal,
                                 fmt::format("the daemon (pid {}) has not stopped after 10 seconds", info->pid),
                                 "its log may say why", 0});
  }
  if (context.options.is_json()) {
    document(context, proto::JsonObject().add("stopped", true).add("pid", info->pid).str());
  } else {
    say(context, "the daemon has stopped; transfers keep their place");
  }
  return 0;
}

}  // namespace pullama::client
