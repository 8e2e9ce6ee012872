#pragma once
// A server on 127.0.0.1 that says, byte for byte, what a test tells it to; with TLS where it is given an identity. Each
// accepted connection runs the script on a thread of its own. Destroying it closes everything.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace pullama::testing {

// PEM texts.
struct TlsIdentity {
  std::string certificate, key;
};

struct CertificateShape {
  std::string ip = "127.0.0.1";
  bool expired = false;
};

// A CA of its own, and certificates signed by it or by themselves.
class TestCa {
 public:
  TestCa();
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  const std::string& certificate() const { return certificate_; }
  TlsIdentity issue(const CertificateShape& shape = {}) const;
  static TlsIdentity self_signed();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string certificate_;
};

class Peer {
 public:
  virtual ~Peer() = default;
  // Up to and with the blank line; nullopt when the client has closed. What follows it stays for read().
  std::optional<std::string> request();
  // Exactly so many bytes of a body, fewer when the client closed.
  std::string read(std::size_t length);
  virtual bool send(std::string_view bytes) = 0;
  // Until the client closes, or the server is destroyed.
  void hold();

 protected:
  virtual std::size_t receive(char* into, std::size_t length) = 0;  // 0: closed

 private:
  std::string pending_;
};

class RawServer {
 public:
  using Script = std::function<void(Peer&)>;
  struct TlsOptions {
    TlsIdentity identity;
    bool only_tls_1_1 = false;
  };

  explicit RawServer(Script script, std::optional<TlsOptions> tls = std::nullopt);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view target) const;
  unsigned connections() const { return connections_; }

 private:
  void accept_all();
  void serve(int socket);

  Script script_;
  void* tls_context_ = nullptr;  // SSL_CTX
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<unsigned> connections_{0};
  std::mutex mutex_;  // guards the two below
  std::vector<int> sockets_;
  std::vector<std::thread> peers_;
  std::thread acceptor_;
};

}  // namespace pullama::testing
