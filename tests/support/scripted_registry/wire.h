#pragma once
// One accepted connection, as httplib reads requests from it and as we write answers to it byte by byte, so that every
// way to break HTTP is at hand: resets, half bodies, bytes by the second. TLS where a context is given.

#include <httplib.h>
#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <string_view>

namespace pullama::scripted {

// Shared by all connections: who is open, and whether the program stops. Thread-safe.
class Lifetime {
 public:
  // False when stopped meanwhile.
  bool sleep(std::chrono::nanoseconds duration);
  void stop();
  bool stopped() const { return stopped_; }
  void add(int socket);
  void remove(int socket);
  // Ends every open connection with a reset.
  void reset_all();

 private:
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;  // guards the set and the waiting
  std::condition_variable changed_;
  std::set<int> open_;
};

class Wire final : public httplib::Stream {
 public:
  Wire(int socket, SSL_CTX* tls, Lifetime& lifetime, std::uint64_t number);
  ~Wire() override;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // The TLS handshake, where there is one.
  bool open();
  // Waits for the next request's first byte.
  bool wait_readable(std::chrono::milliseconds limit);
  // Whether the peer has closed: the system would still take one more send and throw it away.
  bool peer_is_gone();

  // What httplib reads with, and writes with unless muted: once we answered by ourselves its own answer is dropped.
  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* into, std::size_t size) override;
  ssize_t write(const char* from, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }
  void mute(bool on) { muted_ = on; }

  // All bytes, or false when the peer is gone.
  bool send(std::string_view bytes);
  // FIN after what was sent; the connection is over.
  void finish();
  // RST, once the peer's kernel has what was sent.
  void reset();
  bool over() const { return over_; }
  std::uint64_t number() const { return number_; }

 private:
  int socket_;
  SSL_CTX* tls_;
  SSL* ssl_ = nullptr;
  Lifetime& lifetime_;
  std::uint64_t number_;
  bool muted_ = false, over_ = false;
};

}  // namespace pullama::scripted
