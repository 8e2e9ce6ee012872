// scripted-registry: a registry and its CDN on loopback that do exactly what a script says, faults included.

#include <openssl/ssl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <list>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/scripted_registry/help.h"
#include "tests/support/scripted_registry/registry.h"

namespace pullama::scripted {
namespace {

using nlohmann::json;

// A thread a connection: most of them wait for a fault to pass. Finished ones are joined as new ones come.
class ThreadPerConnection final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override {
    std::erase_if(running_, [](Running& running) { return running.done && (running.thread.join(), true); });
    Running& mine = running_.emplace_back();
    mine.thread = std::thread([&mine, task = std::move(task)] {
      task();
      mine.done = true;
    });
  }
  void shutdown() override {
    for (Running& running : running_) running.thread.join();
    running_.clear();
  }

 private:
  struct Running {
    std::thread thread;
    std::atomic<bool> done = false;
  };
  std::list<Running> running_;
};

// httplib accepts connections and parses requests; each answer is written to the wire by Registry.
class Port final : public httplib::Server {
 public:
  Port(std::string name, Registry& registry, Lifetime& lifetime) : name_(std::move(name)), lifetime_(lifetime) {
    new_task_queue = [] { return new ThreadPerConnection; };
    set_pre_routing_handler([this, &registry](const httplib::Request& request, httplib::Response&) {
      registry.serve(name_, request, *current_);
      current_->mute(true);
      return HandlerResponse::Handled;
    });
  }

  // Throws where certificate or key cannot be read.
  void use_tls(const std::string& certificate, const std::string& key) {
    tls_.reset(SSL_CTX_new(TLS_server_method()));
    if (!tls_ || SSL_CTX_use_certificate_chain_file(tls_.get(), certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::runtime_error("cannot use " + certificate + " with " + key);
    }
  }

 private:
  bool process_and_close_socket(socket_t socket) override {
    static std::atomic<std::uint64_t> count = 0;
    Wire wire(socket, tls_.get(), lifetime_, ++count);
    if (!wire.open()) return false;
    current_ = &wire;
    bool closed = false, good = true;
    while (good && !closed && !wire.over() && wire.wait_readable(std::chrono::seconds(120))) {
      wire.mute(false);
      good = process_request(wire, false, closed, [](httplib::Request&) {});
    }
    if (!wire.over()) wire.finish();
    return true;
  }

  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::string name_;
  Lifetime& lifetime_;
  std::unique_ptr<SSL_CTX, FreeContext> tls_;
  static thread_local Wire* current_;
};

thread_local Wire* Port::current_ = nullptr;

void add_control(httplib::Server& control, Registry& registry, Lifetime& lifetime) {
  using Request = httplib::Request;
  using Response = httplib::Response;
  control.new_task_queue = [] { return new ThreadPerConnection; };
  control.set_keep_alive_max_count(1);  // a control connection that stays open would delay the end
  // A test on a loaded machine may be slow to ask.
  control.set_keep_alive_timeout(60);
  control.set_read_timeout(60);
  control.set_exception_handler([](const Request&, Response& response, std::exception_ptr error) {
    response.status = 400;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& why) {
      response.set_content(json{{"error", why.what()}}.dump(), "application/json");
    }
  });
  control.Get("/_control/state", [&](const Request&, Response& response) {
    response.set_content(registry.state().dump(), "application/json");
  });
  control.Post("/_control/script", [&](const Request& request, Response& response) {
    registry.apply(json::parse(request.body));
    response.set_content(registry.state().dump(), "application/json");
  });
  control.Post("/_control/faults", [&](const Request& request, Response& response) {
    registry.add_faults(json::parse(request.body));
    response.set_content("{}", "application/json");
  });
  control.Post("/_control/expire", [&](const Request&, Response& response) {
    registry.expire_urls();
    response.set_content("{}", "application/json");
  });
  control.Post("/_control/revoke", [&](const Request&, Response& response) {
    registry.revoke_tokens();
    response.set_content("{}", "application/json");
  });
  control.Post("/_control/reset", [&](const Request&, Response& response) {
    lifetime.reset_all();
    response.set_content("{}", "application/json");
  });
}

struct Options {
  std::string script, log, certificate, key, cdn_certificate, cdn_key;
  int port = 0, cdn_port = 0;
};

Options parse(int argc, char** argv) {
  Options options;
  const std::vector<std::pair<std::string, std::string*>> texts = {{"--script", &options.script},
                                                                   {"--log", &options.log},
                                                                   {"--cert", &options.certificate},
                                                                   {"--key", &options.key},
                                                                   {"--cdn-cert", &options.cdn_certificate},
                                                                   {"--cdn-key", &options.cdn_key}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      std::cout << kHelp;
      std::exit(0);
    }
    const auto text = std::find_if(texts.begin(), texts.end(), [&](const auto& known) { return known.first == name; });
    if (i + 1 >= argc) throw std::runtime_error("unknown argument or missing value: " + name);
    if (text != texts.end()) {
      *text->second = argv[++i];
    } else if (name == "--port") {
      options.port = std::stoi(argv[++i]);
    } else if (name == "--cdn-port") {
      options.cdn_port = std::stoi(argv[++i]);
    } else {
      throw std::runtime_error("unknown argument: " + name);
    }
  }
  return options;
}

int bind(httplib::Server& server, int port) {
  if (port == 0) return server.bind_to_any_port("127.0.0.1");
  if (!server.bind_to_port("127.0.0.1", port)) throw std::runtime_error("cannot bind port " + std::to_string(port));
  return port;
}

int run(int argc, char** argv) {
  const Options options = parse(argc, argv);
  // Nobody is left behind when the test that started us dies.
  if (::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) throw std::runtime_error("prctl failed");
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  Lifetime lifetime;
  Registry registry(lifetime);
  if (!options.log.empty()) registry.log_to(options.log);
  if (!options.script.empty()) {
    std::ifstream file(options.script);
    registry.apply(json::parse(file));
  }
  Port front("registry", registry, lifetime), cdn("cdn", registry, lifetime);
  httplib::Server control;
  add_control(control, registry, lifetime);
  if (!options.certificate.empty()) front.use_tls(options.certificate, options.key);
  if (!options.cdn_certificate.empty()) cdn.use_tls(options.cdn_certificate, options.cdn_key);
  const int front_port = bind(front, options.port), cdn_port = bind(cdn, options.cdn_port),
            control_port = bind(control, 0);
  registry.set_addresses(options.certificate.empty() ? "http" : "https", front_port,
                         options.cdn_certificate.empty() ? "http" : "https", cdn_port);

  std::vector<std::thread> threads;
  for (httplib::Server* server :
       {static_cast<httplib::Server*>(&front), static_cast<httplib::Server*>(&cdn), &control}) {
    threads.emplace_back([server] { server->listen_after_bind(); });
    while (!server->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  json ready = registry.state();
  ready.update({{"registry", front_port}, {"cdn", cdn_port}, {"control", control_port}, {"pid", ::getpid()}});
  std::cout << ready.dump() << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  lifetime.stop();
  front.stop();
  cdn.stop();
  control.stop();
  for (std::thread& thread : threads) thread.join();
  return 0;
}

}  // namespace
}  // namespace pullama::scripted

int main(int argc, char** argv) {
  try {
    return pullama::scripted::run(argc, argv);
  } catch (const std::exception& why) {
    std::cerr << "scripted-registry: " << why.what() << "\n";
    return 1;
  }
}
