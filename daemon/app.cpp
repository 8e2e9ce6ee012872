#include "daemon/app.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <fmt/core.h>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <memory>

#include "common/endpoint.h"
#include "common/printable.h"
#include "common/version.h"
#include "daemon/finished_command.h"
#include "daemon/log.h"
#include "daemon/process.h"
#include "daemon/pull_transfers.h"
#include "daemon/queue/queue_file.h"
#include "daemon/registry/credentials.h"
#include "daemon/registry/http_client.h"
#include "daemon/rpc/activation.h"
#include "daemon/rpc/server.h"
#include "daemon/service.h"
#include "daemon/settings_in_effect.h"
#include "daemon/settings_reload.h"
#include "daemon/store/models_dir.h"
#include "daemon/store_service.h"
#include "daemon/user_key.h"
#include "daemon/work_thread.h"

namespace pullama {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr milliseconds kTransfersMayTake{1500};  // to sync and checkpoint at the end
constexpr milliseconds kStopMayTake{1900};       // all of it

std::int64_t now_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

TransferSettings settings_of(const Config& config) {
  return {config.network, config.user_agent, config.mirrors, !config.noprune};
}

class App {
 public:
  using Reload = std::function<Result<Configured>()>;
  App(const Options& options, const Configured& configured, Reload reload, Endpoint endpoint,
      std::optional<int> activated)
      : options_(options),
        configured_(configured),
        reload_(std::move(reload)),
        endpoint_(std::move(endpoint)),
        activated_(activated),
        stores_({::getpid(), ::geteuid(), activated ? std::string() : endpoint_.path}),
        credentials_(registry::default_credential_paths()),
        http_(configured.config.network),
        transfers_(stores_, http_, clock_, credentials_),
        finished_(configured.config.on_finished, configured.config.on_finished_limit),
        hub_(io_,
             [this](const std::vector<std::string>& jobs) {
               proto::Snapshot snapshot = jobs_->snapshot(jobs);
               upkeep_->add_to(snapshot.jobs);
               return snapshot;
             }),
        signals_(io_, SIGTERM, SIGINT),
        hangups_(io_, SIGHUP),
        transfers_deadline_(io_),
        idle_timer_(io_),
        watchdog_timer_(io_),
        server_(io_, dispatcher_) {}

  Status start();
  void run();

 private:
  void begin_stop(bool graceful);
  void end_stop();
  void hang_up();
  void watch_idleness();
  void feed_watchdog(milliseconds every);
  void await_hangup();
  void take(Configured fresh);
  const Config& config() const { return configured_.config; }
  bool idle() const { return server_.connections() == 0 && !jobs_->busy() && !upkeep_->busy(); }

  const Options options_;
  Configured configured_;
  const Reload reload_;
  const Endpoint endpoint_;
  const std::optional<int> activated_;
  io::SystemClock clock_;
  Stores stores_;
  registry::Credentials credentials_;
  registry::CurlHttp http_;
  PullTransfers transfers_;
  FinishedCommand finished_;
  asio::io_context io_;
  rpc::EventHub hub_;
  rpc::Dispatcher dispatcher_;
  asio::signal_set signals_;
  asio::signal_set hangups_;
  asio::steady_timer transfers_deadline_;
  asio::steady_timer idle_timer_;
  asio::steady_timer watchdog_timer_;
  std::chrono::steady_clock::time_point idle_since_ = std::chrono::steady_clock::now();
  // The store of the daemon's own models dir. None where that may only be looked at: then there is no queue and no
  // history, and whoever would write is told why.
  Store* own_ = nullptr;
  Error not_writable_;
  ChosenLimits limits_;
  bool stopping_ = false;
  bool ending_ = false;
  // In the order of their threads' ends: transfers, then what they write to.
  std::unique_ptr<WorkThread> storage_;
  std::unique_ptr<StateWriter> writer_;
  std::unique_ptr<Jobs> jobs_;
  std::unique_ptr<Maintenance> maintenance_;
  std::unique_ptr<Upkeep> upkeep_;
  std::unique_ptr<StoreService> store_service_;
  std::unique_ptr<Service> service_;
  rpc::Server server_;  // last: what its connections still do at their end is for all of the above
};

Status App::start() {
  const std::string& models_dir = config().models_dir;
  const auto own = stores_.writable(models_dir);
  if (!own && (own.error().code != ErrorCode::kPermission || !stores_.readable(models_dir))) {
    return fail(own.error());
  }
  if (own) {
    own_ = *own;
  } else {
    not_writable_ = own.error();
    spdlog::warn("the models dir can only be looked at: {}", printable(not_writable_.message));
  }
  auto loaded = own_ == nullptr ? queue::Decoded{} : queue::load(*own_->fs, store::kQueueFile, models_dir, now_ms());
  if (!loaded) return fail(loaded.error());
  for (const std::string& warning : loaded->warnings) spdlog::warn("{}", warning);

  limits_ = choose_limits(config(), loaded->data.limits);
  loaded->data.limits = limits_.in_effect();
  transfers_.configure(settings_of(config()));

  const auto post = [this](std::function<void()> work) { asio::post(io_, std::move(work)); };
  storage_ = std::make_unique<WorkThread>();
  writer_ = std::make_unique<StateWriter>(
      [this](const std::string& text) -> Status {
        if (own_ == nullptr) return fail(not_writable_);
        return queue::save(*own_->fs, store::kQueueFile, text);
      },
      post);
  const auto storage = [this](std::function<void()> work) { storage_->post(std::move(work)); };
  JobsPorts ports;
  ports.models_dir = config().models_dir;
  const auto publish = [this](proto::Event event) {
    if (proto::classify(event.body) != proto::EventClass::kTrace || hub_.wants_trace()) hub_.publish(std::move(event));
  };
  ports.publish = publish;
  ports.post = post;
  ports.after = [this](milliseconds pause, std::function<void()> action) {
    auto timer = std::make_shared<asio::steady_timer>(io_, pause);
    timer->async_wait([timer, action = std::move(action)](const boost::system::error_code& error) {
      if (!error) action();
    });
  };
  ports.storage = storage;
  ports.save = [this](queue::QueueData data, StateWriter::Saved saved) {
    data.limits = limits_.set;
    writer_->write(std::move(data), std::move(saved));
  };
  const auto note = [this](const store::HistoryEntry& entry) {
    if (own_ != nullptr) own_->ledger->add_history(entry);
  };
  ports.remember = note;
  ports.finished = [this](const store::HistoryEntry& entry) { finished_.run(entry); };
  ports.now_ms = now_ms;
  jobs_ = std::make_unique<Jobs>(std::move(loaded->data), options_.on_demand, transfers_, std::move(ports));

  ServiceConfig service;
  service.models_dir = config().models_dir;
  service.socket = [this] { return server_.socket_path(); };
  service.post = post;
  service.storage = storage;
  service.describe = [this](proto::DaemonInfo& info) {
    describe_settings(info, configured_, {server_.socket_path(), activated_.has_value(), jobs_->queue().limits()});
  };
  service.limits = &limits_;
  service.key = [this](bool create) { return user_key(credentials_.paths(), create); };
  service.history = [this](std::size_t limit, const std::string& model) {
    return own_ == nullptr ? std::vector<store::HistoryEntry>() : own_->ledger->history(limit, model);
  };
  service.shut_down = [this, post](bool graceful) {
    post([this, graceful] { begin_stop(graceful); });  // after the reply
  };
  maintenance_ =
      std::make_unique<Maintenance>(stores_, transfers_, [this, post, note](const store::HistoryEntry& entry) {
        note(entry);
        post([this, entry] { finished_.run(entry); });
      });
  upkeep_ = std::make_unique<Upkeep>(UpkeepPorts{publish, post});
  const auto patient = [this] {
    return Patient{stores_,
                   http_,
                   clock_,
                   configured_,
                   credentials_.paths().key_file,
                   server_.socket_path(),
                   activated_.has_value()};
  };
  store_service_ =
      std::make_unique<StoreService>(*jobs_, *upkeep_, *maintenance_, stores_,
                                     StoreServiceConfig{config().models_dir, post, storage, publish, patient});
  store_service_->add_methods(dispatcher_);
  service_ = std::make_unique<Service>(*jobs_, *upkeep_, stores_, hub_, std::move(service));
  service_->add_methods(dispatcher_);
  dispatcher_.on_exception([](const std::string& method, const char* what) {
    spdlog::error("{} ended unexpectedly: {}", printable(method, 60), what);
  });

  rpc::ServerConfig server;
  if (!config().socket_group.empty()) {
    const auto group = group_id(config().socket_group);
    if (!group) return fail(group.error());
    server.group = *group;
  }
  server.endpoint = endpoint_;
  server.listen_fd = activated_;
  if (auto listening = server_.start(std::move(server)); !listening) return listening;
  if (activated_) {
    if (auto said = stores_.announce(server_.socket_path()); !said) return said;
  }
  return {};
}

void App::run() {
  signals_.async_wait([this](const boost::system::error_code& error, int number) {
    if (error) return;
    spdlog::info("signal {}", number);
    begin_stop(true);
  });
  spdlog::info("pullamad {} listens on {}, models dir {}", kVersion, server_.socket_path(), config().models_dir);
  notify_service_manager("READY=1");
  await_hangup();
  if (const auto every = watchdog_interval()) feed_watchdog(*every);
  if (options_.on_demand) {
    watch_idleness();
  } else {
    jobs_->resume_interrupted();
  }
  // Whatever one handler meets (memory, the system's limits), the others' transfers go on.
  for (bool running = true; running;) {
    try {
      io_.run();
      running = false;
    } catch (const std::exception& unexpected) {
      spdlog::critical("the control thread met {}", unexpected.what());
    }
  }
  writer_->stop();
  storage_->stop();
  spdlog::info("stopped");
  if (checks_left_behind() > 0) leave_now(0);  // they may still use what would be tidied up here
}

// An on-demand daemon leaves when for the whole limit nobody was connected and nothing ran.
void App::watch_idleness() {
  const milliseconds tick = std::clamp<milliseconds>(config().idle_time / 4, milliseconds(10), milliseconds(5000));
  idle_timer_.expires_after(tick);
  idle_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || stopping_) return;
    const auto now = std::chrono::steady_clock::now();
    if (!idle()) idle_since_ = now;
    if (now - idle_since_ < config().idle_time) return watch_idleness();
    spdlog::info("nothing to do");
    begin_stop(true);
  });
}

// From the control thread: what the service manager wants to know is whether this one still turns.
void App::feed_watchdog(milliseconds every) {
  notify_service_manager("WATCHDOG=1");
  watchdog_timer_.expires_after(every);
  watchdog_timer_.async_wait([this, every](const boost::system::error_code& error) {
    if (!error) feed_watchdog(every);
  });
}

void App::await_hangup() {
  hangups_.async_wait([this](const boost::system::error_code& error, int) {
    if (error || stopping_) return;
    storage_->post([this] {
      asio::post(io_, [this, fresh = reload_()]() mutable {
        if (fresh) {
          take(std::move(*fresh));
        } else {
          spdlog::warn("the configuration stays as it was: {}", printable(fresh.error().message));
        }
      });
    });
    await_hangup();
  });
}

void App::take(Configured fresh) {
  if (stopping_) return;
  spdlog::info("the configuration is read again");
  Reloaded reloaded = reload_settings(configured_, std::move(fresh), limits_);
  configured_ = std::move(reloaded.configured);
  for (const std::string& warning : configured_.warnings) spdlog::warn("{}", printable(warning));
  set_log_level(config().log_level);
  http_.set_environment(config().network);
  transfers_.configure(settings_of(config()));
  finished_.configure(config().on_finished, config().on_finished_limit);
  limits_ = std::move(reloaded.limits);
  jobs_->set_limits(limits_.in_effect(), [](const Status& set) {
    if (!set) spdlog::warn("the limits stay as they were: {}", set.error().message);
  });
}

void App::begin_stop(bool graceful) {
  if (stopping_) return;
  stopping_ = true;
  notify_service_manager("STOPPING=1");
  boost::system::error_code ignored;  // nothing waits for signals any more
  signals_.clear(ignored);
  hangups_.clear(ignored);
  leave_soon(graceful ? kStopMayTake : milliseconds(300));
  transfers_deadline_.expires_after(graceful ? kTransfersMayTake : milliseconds(0));
  transfers_deadline_.async_wait([this](const boost::system::error_code& error) {
    if (error || ending_) return;
    spdlog::warn("transfers are still syncing; what their last checkpoints say stays");
    server_.stop([] { leave_now(0); });
    ending_ = true;
  });
  finished_.request_stop();
  jobs_->shut_down([this] { upkeep_->shut_down([this] { end_stop(); }); });
  upkeep_->request_stop();
}

void App::end_stop() {
  if (std::exchange(ending_, true)) return;
  transfers_deadline_.cancel();
  idle_timer_.cancel();
  watchdog_timer_.cancel();
  // Replies that wait for the queue file first, and what was to be remembered.
  queue::QueueData data = jobs_->queue().data();
  data.limits = limits_.set;
  writer_->write(std::move(data),
                 [this](const Status&) { storage_->post([this] { asio::post(io_, [this] { hang_up(); }); }); });
}

// Whoever sees us go may start the next daemon at once: by then nothing here holds a models dir.
void App::hang_up() {
  writer_->stop();
  storage_->stop();
  own_ = nullptr;
  stores_.release();
  server_.stop([this] { io_.stop(); });
}

}  // namespace

int run_daemon(const Options& options, const Configured& configured, std::function<Result<Configured>()> reload) {
  const auto refuse = [](const Error& error) {
    fmt::print(stderr, "pullamad: {}{}{}\n", printable(error.message), error.hint.empty() ? "" : "; ",
               printable(error.hint));
    return 1;
  };
  auto activated = rpc::take_activated_socket();
  if (is_socket_named(configured)) {
    if (activated && *activated) ::close(**activated);
    activated = std::optional<int>();
  }
  if (!activated) return refuse(activated.error());
  harden_process();
  start_log(configured.config.log_level);
  for (const std::string& warning : configured.warnings) spdlog::warn("{}", printable(warning));
  auto endpoint = *activated ? Result<Endpoint>(Endpoint{})
                             : listen_endpoint(process_endpoint_environment(configured.config.socket));
  if (!endpoint) return refuse(endpoint.error());
  App app(options, configured, std::move(reload), std::move(*endpoint), *activated);
  if (auto started = app.start(); !started) return refuse(started.error());
  app.run();
  return 0;
}

}  // namespace pullama
