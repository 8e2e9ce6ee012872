#include "client/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "client/autostart.h"
#include "client/network_words.h"
#include "client/version_words.h"
#include "common/printable.h"
#include "common/version.h"
#include "proto/methods.h"

namespace pullama::client {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kConnectLimit = 2s;
constexpr auto kStartLimit = 30s;
constexpr int kMostGreetings = 3;
constexpr int kRivalPauseMs = 50;
constexpr auto kRivalLimit = 2s;  // ours ended because another one was faster: that one may still be starting

std::optional<std::string> after(std::string_view text, std::string_view word) {
  const std::size_t at = text.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + word.size());
  const bool is_quoted = !text.empty() && (text[0] == '\'' || text[0] == '"');
  const std::size_t end = is_quoted ? text.find(text[0], 1) : text.find_first_of(" \t\n'\"`,;()");
  if (is_quoted) text.remove_prefix(1);
  const std::string path(text.substr(0, is_quoted && end != std::string_view::npos ? end - 1 : end));
  if (path.size() < 2 || path[0] != '/') return std::nullopt;
  return path;
}

}  // namespace

std::optional<std::string> socket_named_by(const Error& error) {
  if (error.code != ErrorCode::kLocked) return std::nullopt;
  for (const std::string* text : {&error.hint, &error.message}) {
    if (auto path = after(*text, "--socket ")) return path;
  }
  return std::nullopt;
}

void Link::set_wake(int fd, std::function<bool()> is_stopped) {
  wake_fd_ = fd;
  is_stopped_ = std::move(is_stopped);
}

std::optional<std::string> Link::models_dir() const {
  if (options_.models_dir_by_default && (is_system() || has_own_models_dir_)) return std::nullopt;
  return options_.models_dir;
}

// A file's value is meant for everybody who says nothing else; a flag or variable of a user's daemon may be that of
// the command that happened to start it.
void Link::learn(const proto::DaemonInfo& info) {
  has_own_models_dir_ = std::any_of(
      info.settings.begin(), info.settings.end(),
      [](const proto::DaemonSetting& setting) { return setting.key == "models_dir" && setting.from.starts_with('/'); });
}

bool Link::go_where(const Error& error) {
  const auto path = socket_named_by(error);
  if (!path || (connection_ && connection_->endpoint().path == *path)) return false;
  Endpoint there{*path, EndpointSource::kOption};
  auto connection = Connection::open(there, kConnectLimit);
  if (!connection) return false;
  connection_ = std::move(*connection);
  elsewhere_ = std::move(there);
  return true;
}

Result<Connection*> Link::open_first() {
  connection_.reset();
  if (elsewhere_) {
    if (auto connection = Connection::open(*elsewhere_, kConnectLimit)) {
      connection_ = std::move(*connection);
      return connection_.get();
    }
    elsewhere_.reset();
  }
  const auto endpoints = connect_endpoints(process_endpoint_environment(options_.socket));
  if (!endpoints) return fail(endpoints.error());
  std::optional<Error> first;
  for (const Endpoint& endpoint : *endpoints) {
    auto connection = Connection::open(endpoint, kConnectLimit);
    if (connection) {
      connection_ = std::move(*connection);
      return connection_.get();
    }
    if (!first) first = connection.error();
  }
  return fail(*first);
}

Result<Connection*> Link::open_running() {
  if (is_open()) return connection_.get();
  return open_first();
}

Result<std::optional<proto::Event>> Link::next_event(std::chrono::milliseconds limit, int wake_fd) {
  if (!is_open()) return fail(ErrorCode::kNetwork, "the daemon went away", "see pullama daemon status");
  return connection_->next_event(limit, wake_fd);
}

Result<Connection*> Link::open() {
  if (is_open()) return connection_.get();
  for (int tries = 1;; ++tries) {
    auto connection = open_first();
    if (!connection && connection.error().code != ErrorCode::kNetwork) return connection;
    if (!connection && options_.has(Flag::kNoAutostart)) {
      return fail(ErrorCode::kNetwork, connection.error().message,
                  "start one with pullama daemon start, or leave --no-autostart out");
    }
    if (!connection) connection = start_and_open();
    if (!connection) return connection;
    auto greeted = greet();
    if (greeted) return connection_.get();
    // One that was just leaving took us in: look again. One that hangs will hang the next time, too.
    if (is_silent()) return fail(greeted.error());
    if (is_open() || tries == kMostGreetings) {
      connection_.reset();
      return fail(greeted.error());
    }
  }
}

Result<Connection*> Link::start() {
  if (auto connection = start_and_open(); !connection) return connection;
  if (auto greeted = greet(); !greeted) return fail(greeted.error());
  return connection_.get();
}

Result<proto::DaemonInfo> Link::hello() {
  if (const auto connection = open_running(); !connection) return fail(connection.error());
  return ask_info();
}

Result<proto::DaemonInfo> Link::ask_info() {
  auto info = connection_->call<proto::DaemonInfo>(proto::method::kDaemonInfo, proto::NoParams{}, kHelloLimit);
  if (info || !connection_->is_silent()) return info;
  const auto peer = connection_->peer();
  const auto [who, remedy] = silent_words(peer.pid, peer.program, is_system());
  return fail(ErrorCode::kInternal,
              fmt::format("the daemon{} at {} is there but does not answer", who, connection_->endpoint().path),
              remedy);
}

Status Link::greet() {
  const auto info = ask_info();
  if (!info) return fail(info.error());
  if (info->protocol != proto::kProtocolVersion) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("the daemon (pid {}) is version {} and speaks protocol {}, this client is {} and speaks {}",
                            info->pid, printable(info->version, 64), info->protocol, kVersion, proto::kProtocolVersion),
                info->protocol < proto::kProtocolVersion ? restart_words(is_system())
                                                         : "use the pullama of the daemon's version");
  }
  if (told_version_ != info->version) version_notice_ = version_notice(info->version, info->pid, kVersion, is_system());
  told_version_ = info->version;
  learn(*info);
  proxy_difference_ = info->network ? proxy_difference(*info->network, process_proxy_settings()) : std::string();
  if (info->asleep) {
    const proto::JobCounts& jobs = info->jobs;
    found_waiting_ = jobs.queued + jobs.active + jobs.waiting_network + jobs.waiting_space;
  }
  return {};
}

Error Link::explained(Error error) const {
  if (error.code != ErrorCode::kNetwork || proxy_difference_.empty()) return error;
  if (!error.hint.empty()) error.hint += "; ";
  error.hint += proxy_difference_ + "; " + restart_words(is_system());
  return error;
}

Result<Connection*> Link::start_and_open() {
  const auto endpoint = listen_endpoint(process_endpoint_environment(options_.socket));
  if (!endpoint) return fail(endpoint.error());
  const auto give_up = Clock::now() + kStartLimit;
  DaemonCommand command{{"--on-demand"}, {}};
  if (endpoint->chosen_by_user()) command.arguments.insert(command.arguments.end(), {"--socket", endpoint->path});
  if (options_.models_dir_by_flag) {
    command.arguments.insert(command.arguments.end(), {"--models-dir", options_.models_dir});
  } else if (!options_.models_dir_by_default) {
    command.models_dir = options_.models_dir;
  }
  auto daemon = StartedDaemon::start(command);
  if (!daemon) return fail(daemon.error());

  auto end = Clock::now() + kStartLimit;
  bool has_ended = false;
  // It takes some tens of milliseconds: looked for closely at first.
  constexpr int kCloseLooks = 40;
  int looks = 0;
  for (int pause = 2; Clock::now() < end; pause = ++looks < kCloseLooks ? pause : std::min(pause * 2, 50)) {
    if (is_stopped_ && is_stopped_()) return fail(ErrorCode::kCancelled, "interrupted while the daemon was starting");
    if (auto connection = open_first()) return connection;
    if (!has_ended && daemon->has_ended()) {
      has_ended = true;
      end = std::min(end, Clock::now() + kRivalLimit);
      const Error words{ErrorCode::kLocked, daemon->last_words(), {}, 0};
      if (go_where(words)) return connection_.get();
      // The one that holds the store does not answer: it is on its way out, or not yet there.
      if (socket_named_by(words) && Clock::now() < give_up) {
        pause_briefly(kRivalPauseMs, wake_fd_);
        daemon = StartedDaemon::start(command);
        if (!daemon) return fail(daemon.error());
        has_ended = false;
        end = give_up;
      }
    }
    pause_briefly(pause, wake_fd_);
  }
  const std::string words = daemon->last_words();
  const std::string log = daemon->log_path().empty() ? "" : fmt::format("its log is {}", daemon->log_path());
  if (has_ended) {
    return fail(ErrorCode::kInternal,
                words.empty() ? std::string("the daemon ended as soon as it was started")
                              : fmt::format("the daemon ended as soon as it was started: {}", words),
                log);
  }
  return fail(ErrorCode::kInternal,
              fmt::format("the daemon was started but does not answer at {} after {} seconds", endpoint->path,
                          std::chrono::seconds(kStartLimit).count()),
              "where pullamad.conf names a socket, tell it clients too: $PULLAMA_SOCKET or --socket" +
                  (log.empty() ? log : "; " + log));
}

}  // namespace pullama::client
