#include "daemon/rpc/server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <map>
#include <utility>
#include <vector>

#include "daemon/rpc/listener.h"
#include "daemon/rpc/session.h"

namespace pullama::rpc {

namespace {

constexpr std::size_t kAcceptsPerTurn = 64;  // so that a flood of connects does not starve those who are connected
constexpr std::chrono::milliseconds kAcceptBackoff{100};
constexpr rlim_t kOtherFiles = 512;  // of the engine, the store and the registry client

// Best effort: where the hard limit is lower, accept() meets EMFILE and backs off.
void raise_file_limit(std::size_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, connections + kOtherFiles);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
  using Protocol = boost::asio::local::stream_protocol;

  Impl(boost::asio::io_context& context, const Dispatcher& dispatcher)
      : io(context), acceptor(context), timer(context), host{dispatcher, [this](std::uint64_t id) { forget(id); }} {}

  Status start(ServerConfig new_config) {
    config = std::move(new_config);
    if (config.group) config.access.group = config.group;
    host.reply_stall = config.reply_stall;
    host.event_stall = config.event_stall;
    auto bound = config.listen_fd ? Listener::adopt(*config.listen_fd) : Listener::bind(config.endpoint, config.group);
    if (!bound) return fail(bound.error());
    listener = std::move(*bound);
    path = listener->path();
    raise_file_limit(config.max_connections);
    boost::system::error_code error;
    acceptor.assign(Protocol(), listener->release(), error);
    if (error) {
      listener.reset();
      return fail(ErrorCode::kInternal, "cannot watch the socket " + path + ": " + error.message(), "", error.value());
    }
    wait_for_connects();
    return {};
  }

  void wait_for_connects() {
    acceptor.async_wait(Protocol::acceptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code& error) {
                          if (!error && self->acceptor.is_open()) self->accept_all();
                        });
  }

  void accept_all() {
    for (std::size_t count = 0; count < kAcceptsPerTurn; ++count) {
      const int fd = ::accept4(acceptor.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        welcome(fd);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return wait_for_connects();
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return back_off();  // EMFILE and its like: the connection stays in the backlog, so a wait would spin
      }
    }
    wait_for_connects();
  }

  void back_off() {
    timer.expires_after(kAcceptBackoff);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->acceptor.is_open()) self->accept_all();
    });
  }

  // Takes the descriptor.
  void welcome(int fd) {
    auto peer = peer_of(fd);
    if (!peer || !config.access.allows(*peer)) {
      ::close(fd);
      return;
    }
    if (sessions.size() >= config.max_connections) {
      const std::string line = proto::error_line(
          proto::Id(),
          proto::failed({ErrorCode::kInternal,
                         "the daemon has " + std::to_string(sessions.size()) + " connections, and takes no more",
                         "close some, then try again", 0}));
      // Best effort: who is refused may be gone already.
      static_cast<void>(::send(fd, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL));
      ::close(fd);
      return;
    }
    Protocol::socket socket(io);
    boost::system::error_code error;
    socket.assign(Protocol(), fd, error);
    if (error) {
      ::close(fd);
      return;
    }
    const std::uint64_t id = ++last_id;
    const auto session = std::make_shared<Session>(io, std::move(socket), id, std::move(*peer), host);
    sessions.emplace(id, session);
    session->start();
  }

  void forget(std::uint64_t id) {
    sessions.erase(id);
    if (stopping && sessions.empty()) finish_stop();
  }

  std::vector<std::shared_ptr<Session>> all_sessions() const {
    std::vector<std::shared_ptr<Session>> all;
    all.reserve(sessions.size());
    for (const auto& [id, session] : sessions) all.push_back(session);
    return all;
  }

  void close_listener() {
    // While our socket is open the kernel cannot give its inode to another, so remove() knows its own.
    if (listener) listener->remove();
    listener.reset();
    boost::system::error_code ignored;  // the descriptor is gone either way
    acceptor.close(ignored);
    timer.cancel();
  }

  void stop(std::function<void()> done) {
    if (done) stopped.push_back(std::move(done));
    if (stopping) {
      if (sessions.empty()) finish_stop();
      return;
    }
    stopping = true;
    close_listener();
    for (const auto& session : all_sessions()) session->finish();
    if (sessions.empty()) return finish_stop();
    timer.expires_after(config.flush_on_stop);
    timer.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error) self->close_all();
    });
  }

  void finish_stop() {
    timer.cancel();
    for (auto& done : std::exchange(stopped, {})) boost::asio::post(io, std::move(done));
  }

  void close_all() {
    for (const auto& session : all_sessions()) session->close();
  }

  boost::asio::io_context& io;
  ServerConfig config;
  std::optional<Listener> listener;
  std::string path;
  Protocol::acceptor acceptor;
  boost::asio::steady_timer timer;  // of the accept back-off, then of the stop
  SessionHost host;
  std::map<std::uint64_t, std::shared_ptr<Session>> sessions;
  std::uint64_t last_id = 0;
  bool stopping = false;
  std::vector<std::function<void()>> stopped;
};

Server::Server(boost::asio::io_context& io, const Dispatcher& dispatcher)
    : impl_(std::make_shared<Impl>(io, dispatcher)) {}

// NOLINTNEXTLINE(bugprone-exception-escape): cancel() of a timer, whose error Asio never sets
Server::~Server() {
  impl_->stopped.clear();
  impl_->close_listener();
  impl_->close_all();
}

Status Server::start(ServerConfig config) { return impl_->start(std::move(config)); }
const std::string& Server::socket_path() const { return impl_->path; }
std::size_t Server::connections() const { return impl_->sessions.size(); }
void Server::stop(std::function<void()> done) { impl_->stop(std::move(done)); }

}  // namespace pullama::rpc
