#include "tests/support/scripted_registry/wire.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace pullama::scripted {
namespace {

using namespace std::chrono_literals;

void linger_zero(int socket) {
  const linger at_once{1, 0};
  // A socket that is gone already needs no reset.
  static_cast<void>(::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
}

}  // namespace

bool Lifetime::sleep(std::chrono::nanoseconds duration) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, duration, [this] { return stopped_.load(); });
}

void Lifetime::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const int socket : open_) ::shutdown(socket, SHUT_RDWR);
  changed_.notify_all();
}

void Lifetime::add(int socket) {
  const std::lock_guard lock(mutex_);
  open_.insert(socket);
  if (stopped_) ::shutdown(socket, SHUT_RDWR);
}

void Lifetime::remove(int socket) {
  const std::lock_guard lock(mutex_);
  open_.erase(socket);
}

void Lifetime::reset_all() {
  const std::lock_guard lock(mutex_);
  for (const int socket : open_) {
    // shutdown() wakes the connection's thread; with linger zero its close() then sends the RST.
    linger_zero(socket);
    ::shutdown(socket, SHUT_RD);
    // Writers are woken as well: connecting a TCP socket to AF_UNSPEC resets it.
    sockaddr nowhere{};
    nowhere.sa_family = AF_UNSPEC;
    static_cast<void>(::connect(socket, &nowhere, sizeof nowhere));
  }
}

Wire::Wire(int socket, SSL_CTX* tls, Lifetime& lifetime, std::uint64_t number)
    : socket_(socket), tls_(tls), lifetime_(lifetime), number_(number) {
  lifetime_.add(socket_);
}

Wire::~Wire() {
  if (ssl_ != nullptr) SSL_free(ssl_);
  lifetime_.remove(socket_);
  ::close(socket_);
}

bool Wire::open() {
  if (tls_ == nullptr) return true;
  ssl_ = SSL_new(tls_);
  return ssl_ != nullptr && SSL_set_fd(ssl_, socket_) == 1 && SSL_accept(ssl_) == 1;
}

bool Wire::wait_readable(std::chrono::milliseconds limit) {
  if (over_) return false;
  if (ssl_ != nullptr && SSL_pending(ssl_) > 0) return true;
  pollfd poller{socket_, POLLIN, 0};
  return ::poll(&poller, 1, static_cast<int>(limit.count())) == 1 && !lifetime_.stopped();
}

bool Wire::peer_is_gone() {
  pollfd poller{socket_, POLLRDHUP, 0};
  return ::poll(&poller, 1, 0) == 1;
}

ssize_t Wire::read(char* into, std::size_t size) {
  if (!wait_readable(60s)) return -1;
  if (ssl_ != nullptr) return SSL_read(ssl_, into, static_cast<int>(std::min<std::size_t>(size, 1 << 20)));
  return ::recv(socket_, into, size, 0);
}

ssize_t Wire::write(const char* from, std::size_t size) {
  if (muted_) return static_cast<ssize_t>(size);
  return send({from, size}) ? static_cast<ssize_t>(size) : -1;
}

bool Wire::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (over_ || lifetime_.stopped()) return false;
    const ssize_t count = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                          : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) {
      over_ = true;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

void Wire::finish() {
  if (!over_ && ssl_ != nullptr) SSL_shutdown(ssl_);
  over_ = true;
  ::shutdown(socket_, SHUT_WR);
  // Closing with unread bytes would make it a reset: read until the peer has closed too.
  char scrap[4096];
  while (true) {
    pollfd poller{socket_, POLLIN, 0};
    if (::poll(&poller, 1, 2000) != 1 || ::recv(socket_, scrap, sizeof scrap, 0) <= 0) return;
  }
}

void Wire::reset() {
  // A reset throws away what still waits here, so wait until the peer's kernel has it: the fault is then exact.
  for (int unsent = 1, tries = 0; unsent > 0 && tries < 2000 && !over_; ++tries) {
    if (::ioctl(socket_, SIOCOUTQ, &unsent) != 0) break;
    if (unsent > 0 && !lifetime_.sleep(1ms)) break;
  }
  over_ = true;
  linger_zero(socket_);
}

void Wire::get_remote_ip_and_port(std::string& ip, int& port) const {
  ip = "127.0.0.1";
  port = 0;
}

void Wire::get_local_ip_and_port(std::string& ip, int& port) const { get_remote_ip_and_port(ip, port); }

}  // namespace pullama::scripted
